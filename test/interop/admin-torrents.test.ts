/** What the admin API shows of torrents and peers, and how it removes them, in a running tracker. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { waitUntil } from "../e2e/wait-until.ts";
import { type Ask, askAt, adminTokens as tokens } from "../support/admin-server.ts";
import { Daemon } from "../support/daemon.ts";
import { startRedisServer, withoutRedis } from "../support/redis-server.ts";
import { patientRedis } from "../support/test-storage.ts";

interface TorrentReply {
  info_hash: string;
  peers: number;
  seeders: number;
  completed: number;
}

interface Reply {
  torrents: TorrentReply[];
  peers: { address: string; port?: number; peer_id?: string; client: string | null; seeder: boolean }[];
  next: string | null;
  detail: string;
  errors: { at: string }[];
  workers: { worker: number; state: string; cpu: number | null; loop_lag_ms: number | null }[];
  known: boolean;
  clients: { name: string; announces: number; peers: number | null; versions: object }[];
}

interface Tracker {
  daemon: Daemon;
  ask: Ask<Reply & TorrentReply>;
  /** Announces a peer of a torrent whose infohash begins with `digits`. */
  announce(digits: string, peer: number, more?: string): Promise<void>;
}

async function start(t: TestContext, settings: Record<string, unknown>): Promise<Tracker> {
  const daemon = await Daemon.start(t, { admin: { tokens }, http: { allow_ip_spoofing: true }, ...settings });
  const { url } = await daemon.until(({ msg }) => msg === "serving dashboard and admin API");
  return {
    daemon,
    ask: askAt(url!),
    async announce(digits, peer, more = "&left=1") {
      const infoHash = hashOf(digits).replace(/../g, "%$&");
      const address = `198.51.${peer >> 8}.${peer & 255}`;
      const query = `info_hash=${infoHash}&peer_id=-qB4520-${`${peer}`.padStart(12, "0")}&port=${1000 + peer}&ip=${address}${more}`;
      const response = await fetch(`${daemon.url("http")}/announce?${query}&uploaded=0&downloaded=0`);
      assert.equal(response.status, 200);
      assert.doesNotMatch(await response.text(), /failure/);
    },
  };
}

function hashOf(digits: string): string {
  return digits.padEnd(40, "0");
}

for (const [store, workers] of [
  ["memory", 1],
  ["memory", 3],
  ["redis", 1],
  ["redis", 3],
] as const) {
  const skip = store === "redis" && withoutRedis;
  test(`torrents and peers with the store ${store} and ${workers} workers`, { skip }, async (t) => {
    const redis = store === "redis" ? await startRedisServer() : undefined;
    t.after(() => redis?.stop());
    const options = redis ? { ...patientRedis, redis_broker: redis.url } : { max_peers: 100_000 };
    const tracker = await start(t, {
      workers,
      storage: { name: store, config: { ...options, peer_ids: true } },
    });
    const { ask, announce } = tracker;
    for (let torrent = 1; torrent <= 9; torrent++)
      for (let peer = 1; peer <= torrent; peer++)
        await announce(`a${torrent}`, peer, peer === 1 ? "&left=0&event=completed" : "&left=1");
    await announce("b", 1);

    const top = await ask("GET", "/torrents?limit=3");
    assert.deepEqual(
      top.body.torrents.map(({ peers }) => peers),
      [9, 8, 7],
    );
    const seen: string[] = [];
    for (let next: string | null = ""; next !== null; ) {
      const { status, body }: { status: number; body: Reply } = await ask(
        "GET",
        `/torrents?sort=seeders&limit=3&cursor=${next}`,
      );
      assert.equal(status, 200);
      seen.push(...body.torrents.map(({ info_hash }) => info_hash));
      next = body.next;
    }
    assert.deepEqual(seen, [...Array.from({ length: 9 }, (_, n) => hashOf(`a${n + 1}`)), hashOf("b")]);
    const few = await ask("GET", "/torrents?info_hash=A&min_peers=8");
    assert.deepEqual(
      few.body.torrents.map(({ info_hash }) => info_hash),
      [hashOf("a9"), hashOf("a8")],
    );

    const one = await ask("GET", `/torrents/${hashOf("a3")}`, undefined, "read");
    assert.deepEqual([one.status, one.body.peers, one.body.seeders, one.body.completed], [200, 3, 1, 1]);
    const query = await ask("POST", "/torrents/query", {
      info_hashes: [hashOf("a2"), hashOf("c"), hashOf("b")],
    });
    assert.deepEqual(
      query.body.torrents.map(({ peers }) => peers),
      [2, 1],
    );

    for (const list of [
      `info_hash=${hashOf("a2")},${hashOf("b")}`,
      `info_hash=${hashOf("a2")}&info_hash=${hashOf("b")}`,
    ])
      assert.equal((await ask("GET", `/torrents?${list}`)).body.torrents.length, 2);

    const masked = await ask("GET", `/torrents/${hashOf("a4")}/peers`, undefined, "read");
    assert.deepEqual(
      masked.body.peers.map(({ address, port, peer_id, client }) => [address, port, peer_id, client]),
      Array.from({ length: 4 }, () => ["198.51.0.0/24", undefined, undefined, "qBittorrent"]),
    );
    const whole = new Set<string>();
    for (let next: string | null = ""; next !== null; ) {
      const { body }: { body: Reply } = await ask(
        "GET",
        `/torrents/${hashOf("a9")}/peers?limit=4&cursor=${next}`,
      );
      for (const { address, port, peer_id } of body.peers)
        whole.add(`${address}:${port} ${peer_id?.slice(0, 16)}`);
      next = body.next;
    }
    assert.deepEqual(
      [...whole].sort(),
      Array.from({ length: 9 }, (_, n) => `198.51.0.${n + 1}:${1001 + n} 2d7142343532302d`),
    );

    // On a busy machine a worker can be later than the two seconds that a request waits for its counts and its state.
    let { body: found } = await ask("GET", "/clients");
    await waitUntil(
      () => `all announces are counted in ${JSON.stringify(found)}`,
      async () => {
        ({ body: found } = await ask("GET", "/clients"));
        return (found.clients[0]?.announces ?? 0) >= 46;
      },
    );
    const [qBittorrent, ...others] = found.clients;
    assert.deepEqual([found.known, qBittorrent?.name, others], [true, "qBittorrent", []]);
    assert.deepEqual(
      [qBittorrent!.announces, qBittorrent!.peers, qBittorrent!.versions],
      [46, 46, { 4520: 46 }],
    );
    let { body: threads } = await ask("GET", "/workers");
    await waitUntil("every worker responds", async () => {
      ({ body: threads } = await ask("GET", "/workers"));
      return threads.workers.every(({ state }) => state !== "unresponsive");
    });
    assert.deepEqual(
      threads.workers.map(({ worker, state }) => [worker, state]),
      Array.from({ length: workers }, (_, i) => [i + 1, "serving"]),
    );
    for (const { loop_lag_ms } of threads.workers) assert.ok(loop_lag_ms !== null);

    assert.equal((await ask("DELETE", `/torrents/${hashOf("a9")}`, undefined, "read")).status, 403);
    const removed = await ask("DELETE", `/torrents/${hashOf("a9")}`);
    assert.deepEqual([removed.status, removed.body.peers], [200, 9]);
    await tracker.daemon.until(({ msg }) => msg === "admin");
    assert.equal((await ask("GET", `/torrents/${hashOf("a9")}`)).status, 404);
    assert.equal((await ask("DELETE", `/torrents/${hashOf("a9")}`)).status, 404);
    await announce("a9", 1);
    assert.equal(
      (await ask("GET", `/torrents/${hashOf("a9")}`)).body.peers,
      1,
      "it returns with its next peer",
    );

    for (const path of [
      "/torrents/xyz",
      `/torrents?info_hash=${hashOf("a")},b`,
      `/torrents?info_hash=${"b".repeat(41)}`,
      `/torrents/${hashOf("a9")}0`,
      "/torrents?cursor=x",
      `/torrents/${hashOf("b")}/peers?cursor=x`,
    ]) {
      const { status, body } = await ask("GET", path);
      assert.deepEqual([status, body.errors.length], [400, 1], path);
    }
    if (redis === undefined) return;
    await redis.stop();
    for (const path of [
      "/torrents?min_peers=2",
      `/torrents/${hashOf("b")}`,
      `/torrents/${hashOf("b")}/peers`,
    ])
      assert.equal((await ask("GET", path)).status, 503, path);
    assert.equal((await ask("DELETE", `/torrents/${hashOf("b")}`)).status, 503);
  });
}
