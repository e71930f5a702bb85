/**
 * Node's own HTTP server with a constant response of the size of an announce response with 30 peers.
 *
 * Usage: node bench/floor/http-constant.ts PORT   (on 127.0.0.1)
 */
import { createServer } from "node:http";

const peers = 30;
const body = `d8:completei10e10:incompletei30e8:intervali1800e12:min intervali900e5:peers${6 * peers}:${"x".repeat(6 * peers)}e`;
const headers = { "content-type": "text/plain", "content-length": body.length };
createServer((_request, response) => response.writeHead(200, headers).end(body)).listen(
  Number(process.argv[2]),
  "127.0.0.1",
);
