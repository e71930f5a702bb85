/**
 * CPU time per HTTP announce over loopback through node:net, beside a constant answer of node:http: the cost of
 * the server's own process, with the client in another.
 *
 * Usage: node bench/http-portable.ts [seconds]   (default: 3 per server)
 */
import { fork } from "node:child_process";
import { createServer } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { HttpFrontend } from "../src/frontend/http/http-frontend.ts";
import { TrackerLogic } from "../src/middleware/logic.ts";
import { Metrics } from "../src/observability/metrics.ts";
import { announceQuery, FakeStore, httpOptions } from "../test/fixtures/http-server.ts";

const connections = 32;
const [mode = "", port = "", seconds = "3"] = process.argv.slice(2);

if (mode === "server") await serve(port);
else if (mode === "client") load(Number(port), Number(seconds));
else for (const kind of ["node:http", "tracker", "tracker, close"]) await measure(kind, Number(mode || "3"));

async function serve(kind: string): Promise<void> {
  let bound: number;
  if (kind === "node:http") {
    const body = "d8:completei1e10:incompletei2e8:intervali1800e12:min intervali900e5:peers300:".padEnd(
      378,
      "x",
    );
    const server = createServer((_request, response) => response.end(body)).listen(0, "127.0.0.1");
    await new Promise((resolve) => server.once("listening", resolve));
    bound = (server.address() as AddressInfo).port;
  } else {
    const store = new FakeStore();
    store.announce = (request, response) => {
      response.peers4.count = Math.min(50, request.numWant);
    };
    const settings = { interval: 1800, minInterval: 900, preHooks: [], postHooks: [] };
    const frontend = new HttpFrontend(
      { ...httpOptions, listen: [{ host: "127.0.0.1", port: 0 }], maxConnections: 10_000 },
      {
        logic: new TrackerLogic(store, settings, console.error),
        clock: { seconds: 0, unixSeconds: 0 },
        metrics: new Metrics(),
        onError: console.error,
      },
    );
    await frontend.start();
    bound = Number(new URL(frontend.urls()[0]!).port);
  }
  process.on("message", () => process.send?.({ cpu: process.cpuUsage() }));
  process.send?.({ port: bound });
}

/** Keeps `connections` sockets busy, one request each, and reports how many answers came. */
function load(port: number, seconds: number): void {
  const close = process.argv[5] === "close";
  const request = Buffer.from(
    `GET /announce?${announceQuery()} HTTP/1.1\r\nHost: t\r\nConnection: ${close ? "close" : "keep-alive"}\r\n\r\n`,
    "latin1",
  );
  let answers = 0;
  const dial = () => {
    const socket = connect({ port, host: "127.0.0.1", noDelay: true });
    socket.on("connect", () => socket.write(request));
    socket.on("error", () => {});
    socket.on("data", () => {
      answers++;
      if (!close) socket.write(request);
    });
    if (close) socket.on("end", dial);
  };
  for (let i = 0; i < connections; i++) dial();
  setTimeout(() => process.send?.({ answers }, () => process.exit()), seconds * 1000);
}

async function measure(kind: string, seconds: number): Promise<void> {
  const server = fork(import.meta.filename, ["server", kind]);
  const next = <T>(child: typeof server) =>
    new Promise<T>((resolve) => child.once("message", resolve as () => void));
  const { port } = await next<{ port: number }>(server);
  const run = async (duration: number) => {
    const args = ["client", `${port}`, `${duration}`, kind.endsWith("close") ? "close" : "keep"];
    return (await next<{ answers: number }>(fork(import.meta.filename, args))).answers;
  };
  const cpu = async () => {
    server.send("cpu");
    const { user, system } = (await next<{ cpu: NodeJS.CpuUsage }>(server)).cpu;
    return user + system;
  };
  await run(1); // warm
  const before = await cpu();
  const answers = await run(seconds);
  const spent = (await cpu()) - before;
  console.log(
    `${kind}: ${(spent / answers).toFixed(1)} µs CPU per request, ${Math.round(answers / seconds)} requests/s`,
  );
  server.kill();
}
