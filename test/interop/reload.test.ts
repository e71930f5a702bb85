/** What SIGHUP and SIGUSR1 change while a tracker runs, and what they leave alone. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { connect, type TLSSocket } from "node:tls";
import type { AnnounceParameters, AnnounceResult } from "../../src/client/exchange.ts";
import { announce, scrape } from "../../src/client/tracker-client.ts";
import { certificates } from "../fixtures/certificates.ts";
import { announceQuery, infoHashHex, RawClient } from "../fixtures/http-server.ts";
import { Daemon, temporaryDirectory } from "../support/daemon.ts";

const infoHash = Buffer.from(infoHashHex, "hex");

function announceFrom(
  daemon: Daemon,
  port: number,
  more: Partial<AnnounceParameters> = {},
): Promise<AnnounceResult> {
  const peerId = Buffer.from(`-TR3000-${String(port).padStart(12, "0")}`);
  return announce(`${daemon.url(port % 2 ? "udp" : "http")}/announce`, {
    infoHash,
    peerId,
    port,
    left: 1n,
    ...more,
  });
}

for (const signal of ["SIGHUP", "SIGUSR1"] as const) {
  test(`${signal} swaps hooks and intervals, keeps peers, and closes no connection`, async (t) => {
    const daemon = await Daemon.start(t, { announce_interval: "10m", min_announce_interval: "5m" });
    for (const port of [1001, 1002, 1003]) await announceFrom(daemon, port);
    const open = new RawClient(t, daemon.port("http"));
    const target = `/announce?${announceQuery({ port: "1004" })}`;
    assert.match((await open.get(target)).body, /8:intervali600e12:min intervali300e/);

    const blacklist = [infoHashHex];
    const prehooks = [{ name: "torrent approval", options: { blacklist } }];
    assert.partialDeepStrictEqual(await daemon.reload({ prehooks }, signal), {
      level: "info",
      msg: "configuration reloaded",
      signal,
    });
    assert.equal((await open.get(target)).body, "d14:failure reason18:unapproved torrent8:retry in5:nevere");
    await assert.rejects(announceFrom(daemon, 1001), { message: "unapproved torrent" });

    await daemon.reload({ announce_interval: "20m", min_announce_interval: "10m" }, signal);
    assert.match((await open.get(target)).body, /8:intervali1200e12:min intervali600e/);
    assert.equal((await announceFrom(daemon, 1001)).interval, 1200);
    const [counts] = await scrape(`${daemon.url("http")}/announce`, [infoHash]);
    assert.equal(counts?.incomplete, 4);
  });
}

test("limits and routes change", async (t) => {
  const daemon = await Daemon.start(t);
  for (let port = 2000; port < 2010; port++) await announceFrom(daemon, port);
  const numWant = 50;
  for (const port of [2000, 2001])
    assert.equal((await announceFrom(daemon, port, { numWant })).peers.length, 9);
  const open = new RawClient(t, daemon.port("http"));
  assert.equal((await open.get(`/x/announce?${announceQuery()}`)).status, 404);

  const limits = { max_numwant: 4, default_numwant: 2 };
  await daemon.reload({ http: { ...limits, announce_routes: ["/:name/announce"] }, udp: limits });
  assert.equal((await open.get(`/x/announce?${announceQuery()}`)).status, 200);
  assert.equal((await open.get(`/announce?${announceQuery()}`)).status, 404);
  assert.equal((await announceFrom(daemon, 2001, { numWant })).peers.length, 4);
  assert.equal((await announceFrom(daemon, 2001)).peers.length, 2);
});

test("what needs a restart is named, time and again, and all else changes", async (t) => {
  const daemon = await Daemon.start(t, { announce_interval: "20m" });
  const other = {
    announce_interval: "40m",
    metrics_addr: "127.0.0.1:1",
    profiling: true,
    http: { addr: "127.0.0.1:2", https_addr: [] },
    udp: { addr: "127.0.0.1:3", private_key: "other" },
    storage: { config: { max_peers: 1000, peer_ids: true, peer_lifetime: "40m", gc_interval: "1m" } },
  };
  for (let time = 0; time < 2; time++) {
    const { needsRestart } = await daemon.reload(other);
    assert.deepEqual(needsRestart, [
      "metrics_addr",
      "profiling",
      "http.addr",
      "udp.addr",
      "udp.private_key",
      "storage.config.max_peers",
      "storage.config.peer_ids",
    ]);
    assert.equal((await announceFrom(daemon, 3001)).interval, 2400);
  }
  assert.equal((await daemon.reload({ announce_interval: "20m" })).needsRestart, undefined);
});

test("a frontend that comes or goes needs a restart", async (t) => {
  const daemon = await Daemon.start(t);
  const { needsRestart } = await daemon.reload(
    "chihaya:\n  metrics_addr: 127.0.0.1:0\n  http:\n    addr: 127.0.0.1:0\n",
  );
  assert.deepEqual(needsRestart, ["udp"]);
  await announceFrom(daemon, 4001);
});

test("peers live as long as the new lifetime says", async (t) => {
  const storage = (peer_lifetime: string) => ({ storage: { config: { peer_lifetime, gc_interval: "1s" } } });
  const daemon = await Daemon.start(t, {
    announce_interval: "1s",
    min_announce_interval: "1s",
    ...storage("1h"),
  });
  await announceFrom(daemon, 5001);
  await daemon.reload({ announce_interval: "1s", min_announce_interval: "1s", ...storage("1s") });
  for (let left = 1; left > 0; ) {
    const [counts] = await scrape(`${daemon.url("http")}/announce`, [infoHash]);
    left = counts?.incomplete ?? 0;
  }
});

test("the time for a stop changes", async (t) => {
  const daemon = await Daemon.start(t);
  await daemon.reload({ shutdown_timeout: "3s" });
  assert.partialDeepStrictEqual(await daemon.signal("SIGTERM", "stopping"), { deadline: 3 });
});

test("a broken file changes nothing and says where and why", async (t) => {
  const daemon = await Daemon.start(t, { announce_interval: "20m" });
  await announceFrom(daemon, 12001);
  const broken = await daemon.reload(
    "chihaya:\n  announce_interval: 40m\n  http:\n    addr: nonsense\n  udp:\n    addr: 127.0.0.1:0\n",
  );
  assert.partialDeepStrictEqual(broken, { level: "error", at: `${daemon.file}:4:11`, path: "http.addr" });
  assert.match(broken.msg, /^configuration not reloaded: /);
  const torn = await daemon.reload("chihaya: {\n");
  assert.match(
    `${torn.level} ${torn.at} ${torn.msg}`,
    /^error .*chihaya\.yaml:\d+:\d+ configuration not reloaded: /,
  );
  const { interval, incomplete } = await announceFrom(daemon, 12002);
  assert.deepEqual([interval, incomplete], [1200, 2]);
});

test("a new certificate serves new connections, and a bad one changes nothing", async (t) => {
  const directory = temporaryDirectory(t);
  const paths = { tls_cert_path: join(directory, "cert.pem"), tls_key_path: join(directory, "key.pem") };
  const write = ({ cert, key }: (typeof certificates)[number]) => {
    writeFileSync(paths.tls_cert_path, cert);
    writeFileSync(paths.tls_key_path, key);
  };
  const [first, second] = certificates;
  write(first);
  // The first connection stays open without a request for as long as reloads take.
  const http = { https_addr: "127.0.0.1:0", read_timeout: "1h", idle_timeout: "1h", ...paths };
  const daemon = await Daemon.start(t, { http });
  const open = await connectTls(t, daemon);
  assert.equal(open.getPeerCertificate().subject.CN, "first.test");

  writeFileSync(paths.tls_key_path, second.key);
  const refused = await daemon.reload({ announce_interval: "20m", http });
  assert.partialDeepStrictEqual(refused, { level: "error", path: "http.tls_key_path" });
  assert.match(refused.msg, /^configuration not reloaded: .*key\.pem does not belong to the certificate/);
  assert.equal((await connectTls(t, daemon)).getPeerCertificate().subject.CN, "first.test");
  assert.match(await ask(open), /8:intervali1800e/);

  write(second);
  assert.equal((await daemon.reload({ announce_interval: "20m", http })).msg, "configuration reloaded");
  assert.equal((await connectTls(t, daemon)).getPeerCertificate().subject.CN, "second.test");
  assert.match(await ask(open), /8:intervali1200e/);
});

async function connectTls(t: TestContext, daemon: Daemon): Promise<TLSSocket> {
  const socket = connect({ host: "127.0.0.1", port: daemon.port("https"), rejectUnauthorized: false });
  t.after(() => socket.destroy());
  socket.on("error", () => undefined); // the tracker that ends after the test resets it; `ask` sees each close itself
  await once(socket, "secureConnect");
  return socket;
}

async function ask(socket: TLSSocket): Promise<string> {
  const closed = new AbortController();
  socket.once("close", () => closed.abort(new Error("closed without an answer")));
  if (socket.destroyed) closed.abort(new Error("closed before it was asked"));
  socket.write(`GET /announce?${announceQuery()} HTTP/1.1\r\nHost: tracker.test\r\n\r\n`);
  return String((await once(socket, "data", { signal: closed.signal }))[0]);
}
