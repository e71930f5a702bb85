/** The admin API against its own description, by requests that schemathesis makes from it. */
import assert from "node:assert/strict";
import { test } from "node:test";
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
  const checks = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
  ];
  const schemathesis = new Program(t, "env", [
    // It writes a cache into its directory.
    ...["--chdir", temporaryDirectory(t), "schemathesis", "run"],
    `${url}/api/v1/openapi.json`,
    ...["--header", "Authorization: Bearer admin"],
    ...["--checks", checks.join(",")],
    ...["--phases", "examples,coverage,fuzzing"],
    ...["--max-examples", `${casesOfEach}`],
    ...["--seed", "1", "--continue-on-failure", "--no-color"],
    // Its response has no end.
    ...["--exclude-path", "/api/v1/events"],
  ]);
  const { code } = await schemathesis.ended;
  assert.equal(code, 0, schemathesis.stdout);
  const generated = Number(/(\d+) generated, \d+ passed/.exec(schemathesis.stdout)?.[1]);
  assert.ok(generated >= least, `${generated} requests of at least ${least}:\n${schemathesis.stdout}`);
  t.diagnostic(`${generated} requests`);
});
