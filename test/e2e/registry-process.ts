/**
 * A registry that approves torrents: serves its keys at /keys, and does what it is told by POST: /sign (claims in the body;
 * `?algorithm=` chooses the key), /rotate (new keys beside the old), /forget (the old keys), /break (no keys any more for anybody).
 *
 * Usage: node registry-process.ts PORT
 */
import { createServer } from "node:http";
import { text } from "node:stream/consumers";
import { createIssuerKey, type IssuerKey, signToken } from "../support/jwt-issuer.ts";

let number = 0;
const makeKeys = async () => [
  await createIssuerKey(`${number++}`, "RS256"),
  await createIssuerKey(`${number++}`, "EdDSA"),
];
let current: IssuerKey[] = await makeKeys();
let old: IssuerKey[] = [];
let isBroken = false;
let refused = 0;

async function act(path: string, algorithm: string | null, body: string): Promise<unknown> {
  switch (path) {
    case "/sign":
      return signToken(current.find((key) => key.algorithm === algorithm)!, JSON.parse(body));
    case "/rotate":
      old = current;
      current = await makeKeys();
      return current.map(({ kid }) => kid);
    case "/forget":
      old = [];
      return undefined;
    case "/break":
      isBroken = true;
      return undefined;
    case "/refused":
      return refused;
    default:
      throw new Error(`cannot ${path}`);
  }
}

const server = createServer(async (request, response) => {
  const { pathname, searchParams } = new URL(request.url!, "http://registry");
  if (request.method === "GET") {
    if (isBroken) refused++;
    response.statusCode = isBroken ? 503 : 200;
    response.end(JSON.stringify({ keys: [...current, ...old].map(({ jwk }) => jwk) }));
    return;
  }
  response.end(JSON.stringify(await act(pathname, searchParams.get("algorithm"), await text(request))) ?? "");
});
server.listen(Number(process.argv[2]), "127.0.0.1");
process.on("SIGINT", () => process.exit());
