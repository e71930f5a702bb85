/** Bans by the admin API of a running tracker: all workers obey them, and they outlive the process. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { waitUntil } from "../e2e/wait-until.ts";
import { askAt, adminTokens as tokens } from "../support/admin-server.ts";
import { Daemon, type DaemonSettings, temporaryDirectory } from "../support/daemon.ts";

const torrent = "a".repeat(20);
const hex = Buffer.from(torrent).toString("hex");

/** Announces or scrapes so often, each time by a new connection, that every worker gets some. */
const attempts = 24;

interface Reply {
  ban: Record<string, string | null>;
  persisted: boolean;
  removed: boolean;
  errors: { detail: string }[];
}

const http = { real_ip_header: "x-real-ip", trusted_proxies: ["127.0.0.1"] };

async function start(t: TestContext, settings: DaemonSettings) {
  const daemon = await Daemon.start(t, { http, ...settings });
  const { url } = await daemon.until(({ msg }) => msg.endsWith("admin API"));
  /** The distinct responses to many requests of one client. */
  const responses = async (action: "announce" | "scrape", address: string, infoHash = torrent, port = 9) => {
    const query = `info_hash=${infoHash}&peer_id=-TR3000-xxxxxxxxxxxx&port=${port}&left=1&uploaded=0&downloaded=0`;
    const all = new Set<string>();
    for (let n = 0; n < attempts; n++) {
      const response = await fetch(`${daemon.url("http")}/${action}?${query}`, {
        headers: { "x-real-ip": address, connection: "close" },
      });
      const [, length, rest] = /failure reason(\d+):(.*)$/s.exec(await response.text()) ?? [];
      all.add(rest?.slice(0, Number(length)) ?? "served");
    }
    return [...all];
  };
  return { daemon, ask: askAt<Reply>(url!), responses };
}

for (const workers of [1, 3]) {
  test(`bans reach ${workers} workers at once, outlive a restart, and need no hook`, async (t) => {
    const state = join(temporaryDirectory(t), "state");
    const settings = { workers, admin: { tokens, state } };
    const { daemon, ask, responses } = await start(t, settings);
    assert.deepEqual(await responses("announce", "192.0.2.1"), ["served"]);
    const { status, body } = await ask("PUT", "/bans/192.0.2.0%2F24", { reason: "floods" });
    assert.deepEqual([status, body.persisted], [200, true]);
    assert.deepEqual(await responses("announce", "192.0.2.1"), ["address is banned"]);
    assert.deepEqual(await responses("scrape", "192.0.2.2"), ["address is banned"]);
    assert.deepEqual(await responses("announce", "198.51.100.1"), ["served"]);

    const banned = await ask("PUT", `/torrents/${hex}/ban`, {});
    assert.deepEqual([banned.status, banned.body.removed, banned.body.persisted], [200, true, true]);
    assert.deepEqual(await responses("announce", "198.51.100.1"), ["torrent is banned"]);
    assert.deepEqual(await responses("scrape", "198.51.100.1"), ["torrent is banned"]);
    // A worker that is late on a busy machine keeps its earlier counts in a scrape.
    const labels = 'action="announce",address_family="IPv4",error="torrent is banned"';
    const counted = new RegExp(`_http_.*_count\\{${labels}\\} ${attempts}\\n`);
    let metrics = "";
    await waitUntil(
      () => `${attempts} refused announces are counted in ${metrics}`,
      async () => {
        metrics = await (await fetch(`${daemon.url("metrics")}/metrics`)).text();
        return counted.test(metrics);
      },
    );
    assert.match(metrics, /^chihaya_storage_infohashes_count 0$/m, "its peers are gone");
    assert.match(metrics, /^chihaya_admin_bans\{kind="torrent"\} 1$/m);
    assert.equal((await daemon.reload({ http, ...settings, announce_interval: "20m" })).level, "info");
    assert.deepEqual(await responses("announce", "192.0.2.1"), ["address is banned"], "after a reload");

    daemon.child.kill("SIGTERM");
    assert.equal((await daemon.ended).code, 0);
    const again = await start(t, settings);
    assert.deepEqual(await again.responses("announce", "192.0.2.1", "b".repeat(20)), ["address is banned"]);
    assert.deepEqual(await again.responses("announce", "198.51.100.1"), ["torrent is banned"]);
    assert.equal((await again.ask("DELETE", `/torrents/${hex}/ban`)).status, 200);
    assert.equal((await again.ask("DELETE", "/bans/192.0.2.0%2F24")).status, 200);
    assert.deepEqual(await again.responses("announce", "192.0.2.1"), ["served"]);
    assert.doesNotMatch(readFileSync(state, "utf8"), /192\.0\.2/);
  });
}

/** A hook whose thread ends with an announce of port 666. */
const dyingHook = `
export default {
  name: "dying",
  create: () => ({ handleAnnounce: ({ port }) => void (port === 666 && process.exit(1)) }),
};
`;

test("a worker that takes the place of a dead one obeys the bans", async (t) => {
  const module = join(temporaryDirectory(t), "dying.mjs");
  writeFileSync(module, dyingHook);
  const { daemon, ask, responses } = await start(t, {
    workers: 2,
    admin: { tokens },
    prehooks: [{ module }],
  });
  assert.equal((await ask("PUT", "/bans/192.0.2.0%2F24", {})).body.persisted, false, "nothing is kept");
  await assert.rejects(responses("announce", "198.51.100.1", torrent, 666));
  await daemon.until(({ msg }) => msg === "a worker died; starting another");
  const ready = async () => (await fetch(`${daemon.url("metrics")}/readyz`)).status === 200;
  while (!(await ready())) await new Promise(setImmediate);
  assert.deepEqual(await responses("announce", "192.0.2.1"), ["address is banned"]);
  assert.deepEqual(await responses("announce", "198.51.100.1"), ["served"]);
});

test("a damaged state, or one that cannot be written, stops the start with a clear error", async (t) => {
  const folder = temporaryDirectory(t);
  const state = join(folder, "state");
  writeFileSync(state, "garbage\n");
  const failed = async (path: string) =>
    Daemon.start(t, { admin: { tokens, state: path } }).then(
      () => assert.fail("has started"),
      (error: Error) => error.message,
    );
  assert.match(
    await failed(state),
    /failed to start: admin\.state is damaged: .*state:1: not a JSON object; restore/,
  );
  assert.equal(readFileSync(state, "utf8"), "garbage\n");
  assert.match(
    await failed(join(folder, "none", "state")),
    /failed to start: admin\.state: cannot write to .*none/,
  );
});
