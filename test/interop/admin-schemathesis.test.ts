/** The admin API against its own description, by requests that schemathesis makes from it. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, request } from "node:http";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { withoutProgram } from "../e2e/process.ts";
import { adminTokens as tokens } from "../support/admin-server.ts";
import { Daemon, Program, temporaryDirectory } from "../support/daemon.ts";

/** Requests to each operation beside those for the borders of each parameter. CHIHAYA_SCHEMATHESIS_CASES makes a longer run. */
const casesOfEach = Number(process.env.CHIHAYA_SCHEMATHESIS_CASES ?? 60);
const least = 500;

const skip = await withoutProgram("schemathesis", ["--version"], "pip install schemathesis");

test("responses are as the document says, without errors of the server", { skip }, async (t) => {
  const storage = { name: "memory", config: { max_peers: 10_000, peer_ids: true } };
  const daemon = await Daemon.start(t, { admin: { tokens }, storage, http: { allow_ip_spoofing: true } });
  const { url } = await daemon.until(({ msg }) => msg === "serving dashboard and admin API");
  for (let n = 1; n <= 200; n++) {
    const torrent = (n % 20).toString(16).padStart(2, "0");
    const query = `info_hash=${"%00".repeat(19)}%${torrent}&peer_id=-qB4520-0123456789ab&port=${n}&ip=198.51.100.${n}&left=${n % 2}`;
    await fetch(`${daemon.url("http")}/announce?${query}&uploaded=0&downloaded=0`);
  }
  const own = await runSchemathesis(t, `${url}/api/v1/openapi.json`, [
    "--exclude-path-regex",
    "^/api/v1/(events$|journal$|site/)", // resources of a site need a private tracker
  ]);
  assert.ok(own >= least, `${own} requests of at least ${least}`);
  // The response has no end, so a proxy ends it.
  const proxy = await startCuttingProxy(t, url!);
  const further = await runSchemathesis(t, `${url}/api/v1/openapi.json`, [
    ...["--include-path", "/api/v1/events", "--url", proxy],
  ]);
  assert.ok(further > 0);
  t.diagnostic(`${own} and ${further} requests`);
});

/** Runs the program. @returns the number of requests @throws AssertionError with its report if a check has failed */
async function runSchemathesis(t: TestContext, document: string, args: readonly string[]): Promise<number> {
  const checks = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
  ];
  const schemathesis = new Program(t, "env", [
    // It writes a cache into its directory.
    ...["--chdir", temporaryDirectory(t), "schemathesis", "run", document],
    ...["--header", "Authorization: Bearer admin"],
    ...["--checks", checks.join(",")],
    ...["--phases", "examples,coverage,fuzzing"],
    ...["--max-examples", `${casesOfEach}`],
    ...["--seed", "1", "--continue-on-failure", "--no-color"],
    // Its own limits, of 10 s for a response among them, are not for a busy machine.
    ...["--request-timeout", "180", "--suppress-health-check", "too_slow"],
    ...args,
  ]);
  const { code } = await schemathesis.ended;
  assert.equal(code, 0, schemathesis.stdout);
  return Number(/(\d+) generated, \d+ passed/.exec(schemathesis.stdout)?.[1]);
}

/** Starts a proxy that ends a stream of events after its first chunk. @returns its URL */
async function startCuttingProxy(t: TestContext, target: string): Promise<string> {
  const proxy = createServer((received, response) => {
    const { method, url, headers } = received;
    const asked = request(`${target}${url}`, { method, headers, agent: false }, (given) => {
      response.writeHead(given.statusCode!, { "content-type": given.headers["content-type"] });
      if (given.headers["content-type"] !== "text/event-stream") return given.pipe(response);
      return given.once("data", (chunk) => {
        response.end(chunk);
        given.destroy();
      });
    });
    asked.on("error", () => response.destroy());
    received.pipe(asked);
  }).listen(0, "127.0.0.1");
  t.after(() => proxy.close());
  await once(proxy, "listening");
  return `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
}
