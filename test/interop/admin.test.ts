/** The admin API of a running tracker. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { hashToken } from "../../src/operator/api/access.ts";
import { askAt, adminTokens as tokens } from "../support/admin-server.ts";
import { Daemon } from "../support/daemon.ts";

interface Reply {
  workers: number;
  torrents: number;
  yaml: string;
  errors: { at: string; detail: string }[];
}

for (const workers of [1, 2]) {
  test(`a reload by the API: its result, and what waits for a restart, with ${workers} workers`, async (t) => {
    const config = { admin: { tokens }, workers, announce_interval: "30m" };
    const daemon = await Daemon.start(t, config);
    const { url } = await daemon.until(({ msg }) => msg === "serving dashboard and admin API");
    const ask = askAt<Reply>(url!);
    const { body: stats } = await ask("GET", "/stats");
    assert.deepEqual([stats.workers, stats.torrents], [workers, 0]);

    daemon.write({ ...config, announce_interval: "20m", workers: 3 });
    const { status, body } = await ask("POST", "/reload");
    assert.deepEqual(
      [status, body],
      [
        200,
        {
          file: daemon.file,
          reloaded: true,
          applied: ["announce_interval"],
          needs_restart: ["workers"],
          warnings: [],
          errors: [],
        },
      ],
    );
    assert.match((await ask("GET", "/config")).body.yaml, /announce_interval: "20m"/);

    daemon.write({ ...config, announce_interval: "-1s" });
    const refused = await ask("POST", "/reload");
    assert.equal(refused.status, 409);
    assert.match(refused.body.errors[0]!.at, /chihaya\.yaml:\d+:\d+$/);
    assert.match(refused.body.errors[0]!.detail, /announce_interval|expected a duration/);
    assert.match((await ask("GET", "/config")).body.yaml, /announce_interval: "20m"/, "the running one");

    daemon.write({
      ...config,
      admin: { tokens: [{ name: "ops", hash: hashToken("other"), scopes: ["admin"] }] },
    });
    assert.equal((await ask("POST", "/reload")).status, 200);
    assert.equal((await ask("GET", "/stats")).status, 401, "the token is gone");
  });
}

test("with a file that has no block, and on an address of everybody, there is no API", async (t) => {
  for (const config of [{}, { admin: { tokens }, metrics_addr: "0.0.0.0:0" }]) {
    const daemon = await Daemon.start(t, config);
    const { url } = await daemon.until(({ msg }) => msg === "serving metrics and health");
    const { port } = new URL(url!);
    for (const [path, status] of [
      ["/api/v1/stats", 404],
      ["/", 404],
      ["/metrics", 200],
    ] as const) {
      const response = await fetch(`http://127.0.0.1:${port}${path}`);
      await response.text(); // a body that nobody reads makes fetch fail when the connection ends
      assert.equal(response.status, status, path);
    }
  }
});

test("networks of the configuration are cut for those who may not see addresses of peers", async (t) => {
  const blacklist = ["198.51.100.77", "2001:db8:1:2::/64", "192.0.2.0/23"];
  const daemon = await Daemon.start(t, {
    admin: { tokens },
    http: { trusted_proxies: ["203.0.113.9"] },
    prehooks: [{ name: "ip approval", options: { blacklist } }],
  });
  const { url } = await daemon.until(({ msg }) => msg === "serving dashboard and admin API");
  const seen = async (scope: "" | "read" | "peers:read") => {
    const { yaml } = (await askAt<Reply>(url!)("GET", "/config", undefined, scope)).body;
    assert.match(yaml, /trusted_proxies: \["203.0.113.9"\]/, "not of peers");
    return /blacklist: (\[.*\])/.exec(yaml)?.[1];
  };
  for (const scope of ["", "read"] as const)
    assert.equal(await seen(scope), '["198.51.100.0/24", "2001:db8:1::/48", "192.0.2.0/23"]');
  assert.equal(await seen("peers:read"), JSON.stringify(blacklist).replaceAll(",", ", "));
});
