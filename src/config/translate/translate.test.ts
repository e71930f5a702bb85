import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { temporaryDirectory } from "../../../test/support/daemon.ts";
import { loadConfig } from "../load.ts";
import { translateBittorrentTracker } from "./bittorrent-tracker.ts";
import { translateOpentracker } from "./opentracker.ts";
import { renderTranslation, type Translation } from "./translation.ts";

/** Loads the rendered translation as the tracker would. */
function load(t: TestContext, translation: Translation) {
  const file = join(temporaryDirectory(t), "chihaya.yaml");
  writeFileSync(file, renderTranslation(translation, "a test"));
  const loaded = loadConfig({ file, env: {} });
  assert.deepEqual(loaded.ok ? [] : loaded.errors, []);
  assert.ok(loaded.ok);
  return loaded.config;
}

const opentracker = (...lines: string[]) => translateOpentracker(lines.join("\n"), "ot.conf");
const notesOf = ({ notes }: Translation) => notes.map(({ at, reason }) => `${at}: ${reason}`);

test("every line of an opentracker configuration is translated, or named with a reason", (t) => {
  const translation = opentracker(
    "# a comment",
    "listen.udp.workers 4",
    "listen.tcp_udp 0.0.0.0",
    "  listen.tcp 192.0.2.1:80  ",
    "listen.udp [2001:db8::1]:6970\r",
    "listen.udp 2001:db8::2",
    "",
    "access.whitelist ./white list",
    "access.stats 192.0.2.0/24",
    "access.stats 2001:db8::1",
    "access.stats_path a/secret",
    "access.proxy 127.0.0.1",
    "tracker.rootdir /var/lib/opentracker",
    "tracker.user nobody",
    "tracker.redirect_url https://example.org/",
    "batchsync.cluster.admin_ip 10.1.1.1",
    "access.fifo_add add.fifo",
    "access.fifo_delete /run/delete.fifo",
    "livesync.cluster.node_ip 192.0.2.4",
    "livesync.cluster.node_ip 192.0.2.5",
    "livesync.cluster.listen 192.0.2.1",
  );
  assert.deepEqual(translation.settings, {
    http: {
      addr: ["0.0.0.0:6969", "192.0.2.1:80"],
      real_ip_header: "x-forwarded-for",
      trusted_proxies: ["127.0.0.1"],
      opentracker: {
        stats_path: "/a/secret",
        stats_from: ["192.0.2.0/24", "2001:db8::1"],
        full_scrape: true,
        redirect_url: "https://example.org/",
        fifo_add: "/var/lib/opentracker/add.fifo",
        fifo_delete: "/run/delete.fifo",
        livesync: {
          group: "224.0.23.5:9696",
          interface: "192.0.2.1",
          nodes: ["192.0.2.4", "192.0.2.5"],
        },
      },
    },
    udp: { addr: ["0.0.0.0:6969", "[2001:db8::1]:6970", "[2001:db8::2]:6969"] },
    prehooks: [
      { name: "torrent approval", options: { whitelist_from: ["/var/lib/opentracker/white list"] } },
    ],
  });
  assert.deepEqual(
    notesOf(translation).map((note) => note.replace(/(: [\w.]+): .*/, "$1")),
    ["ot.conf:2: listen.udp.workers", "ot.conf:13: tracker.rootdir", "ot.conf:14: tracker.user"].concat(
      "ot.conf:16: batchsync.cluster.admin_ip",
    ),
  );
  const { http, udp } = load(t, translation);
  assert.equal(http?.opentracker?.statsPath, "/a/secret");
  assert.equal(udp?.listen.length, 3);
});

test("lines that opentracker does not know or cannot read are named", () => {
  const notes = notesOf(
    opentracker(
      "listen.tcp",
      "listen.tcp example.org",
      "listen.udp 192.0.2.1:70000",
      "access.stats 192.0.2.1/33",
      "access.proxy proxy.example.org",
      "toString 1",
      "Listen.tcp 0.0.0.0",
      "access.whitelist=file",
    ),
  );
  assert.deepEqual(
    notes.slice(0, 8).map((note) => note.replace(/: expected .*/, "")),
    [
      "ot.conf:1: listen.tcp: the value is missing",
      "ot.conf:2: listen.tcp: not an address",
      "ot.conf:3: listen.udp: not an address",
      "ot.conf:4: access.stats: not an address or a network",
      "ot.conf:5: access.proxy: not an address or a network",
      "ot.conf:6: toString: unknown line",
      "ot.conf:7: Listen.tcp: unknown line",
      "ot.conf:8: access.whitelist=file: unknown line",
    ],
  );
});

test("an opentracker without lines listens on its port, with both protocols", (t) => {
  const translation = opentracker();
  assert.deepEqual(translation.settings, { http: { opentracker: { full_scrape: true } }, udp: {} });
  const { http, udp, preHooks } = load(t, translation);
  assert.equal(http?.opentracker?.fullScrape, true);
  assert.deepEqual([http.listen, preHooks], [udp?.listen, []]);
  const onlyUdp = load(t, opentracker("listen.udp 192.0.2.1"));
  assert.equal(onlyUdp.http, undefined);
});

test("a command line of bittorrent-tracker is translated", (t) => {
  const all = translateBittorrentTracker([]);
  assert.deepEqual(all.settings, {
    announce_interval: "600s",
    http: { addr: ["0.0.0.0:8000", "[::]:8000"], opentracker: {} },
    udp: { addr: ["0.0.0.0:8000", "[::]:8000"] },
    websocket: { interval: "120s" },
  });
  assert.deepEqual(
    all.notes.map(({ at }) => at),
    ["--stats"],
  );
  const onlyWebSocket = translateBittorrentTracker(["--ws", "-p", "6969"]);
  assert.deepEqual(onlyWebSocket.settings, {
    announce_interval: "600s",
    websocket: { interval: "120s", addr: ["0.0.0.0:6969", "[::]:6969"] },
  });
  load(t, onlyWebSocket);
  load(t, all);
  const some = translateBittorrentTracker(
    "--http -p 6969 --http-hostname 127.0.0.1 --trust-proxy --interval 1800000 --no-stats -q".split(" "),
  );
  assert.deepEqual(some.settings, {
    announce_interval: "1800s",
    http: {
      addr: ["127.0.0.1:6969"],
      real_ip_header: "x-forwarded-for",
      trusted_proxies: ["127.0.0.1", "::1"],
    },
  });
  assert.deepEqual(
    some.notes.map(({ at }) => at),
    ["--quiet", "--trust-proxy"],
  );
  load(t, some);
  assert.throws(() => translateBittorrentTracker(["--prot", "1"]), { code: "ERR_PARSE_ARGS_UNKNOWN_OPTION" });
  assert.throws(() => translateBittorrentTracker(["--port", "x"]), /--port needs a number/);
});
