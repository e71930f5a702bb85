import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import {
  announceQuery,
  infoHash,
  infoHashHex,
  RawClient,
  startHttpServer,
} from "../../../test/fixtures/http-server.ts";
import { ClientError } from "../../bittorrent/client-error.ts";
import type { HttpOptions } from "./options.ts";

const hosts = ["127.0.0.1", "::1"];

/** What a query gets: the failure reason, or the announce as the store sees it. */
type Row = [what: string, changes: Record<string, string | null>, result: string];

const failure = (reason: string) => `d14:failure reason${reason.length}:${reason}e`;

async function check(t: TestContext, rows: Row[], options: Partial<HttpOptions> = {}): Promise<void> {
  for (const host of hosts) {
    const server = await startHttpServer(t, host, options);
    const client = new RawClient(t, server.port(), host);
    for (const [what, changes, result] of rows) {
      const { status, head, body } = await client.get(`/announce?${announceQuery(changes)}`);
      const stored = server.store.announces.pop();
      assert.equal(status, 200, what);
      assert.match(head, /\r\nContent-Type: text\/plain; charset=utf-8(\r\n|$)/, what);
      if (result.includes(" want=") || result.startsWith("*")) {
        assert.ok(stored !== undefined, `${what}: ${body}`);
        const seen = stored.replace(infoHashHex, "ih").replace(` ${host} `, " socket ");
        if (result.startsWith("*")) assert.ok(seen.includes(result.slice(1)), `${what}: ${seen}`);
        else assert.equal(seen, result, what);
        assert.match(
          body,
          /^d8:completei1e10:downloadedi3e.*8:intervali1800e12:min intervali900e5:peers0:/s,
          what,
        );
      } else {
        assert.equal(stored, undefined, what);
        assert.equal(body, failure(result), what);
      }
    }
  }
}

test("every parameter of an announce is taken, defaulted or refused as in Chihaya", async (t) => {
  await check(t, [
    ["a good announce", {}, "ih none socket 51501 want=50 up=10 down=20 left=30"],
    ["event started", { event: "started" }, "*ih started "],
    ["event in upper case", { event: "STOPPED" }, "*ih stopped "],
    ["event completed", { event: "completed" }, "*ih completed "],
    ["event paused", { event: "paused" }, "*ih paused "],
    ["an empty event", { event: "" }, "*ih none "],
    ["event none", { event: "none" }, "*ih none "],
    ["an unknown event", { event: "notAnEvent" }, "*ih none "],
    ["no info_hash", { info_hash: null }, "no info_hash parameter supplied"],
    ["info_hash in upper case", { info_hash: null, INFO_HASH: infoHash }, "no info_hash parameter supplied"],
    [
      "two infohashes",
      { info_hash: `${infoHash}&info_hash=${infoHash}` },
      "multiple info_hash parameters supplied",
    ],
    ["19 bytes of info_hash", { info_hash: "a".repeat(19) }, "provided invalid infohash"],
    ["21 bytes of info_hash", { info_hash: "a".repeat(21) }, "provided invalid infohash"],
    ["an empty info_hash", { info_hash: "" }, "provided invalid infohash"],
    ["no peer_id", { peer_id: null }, "failed to parse parameter: peer_id"],
    ["a short peer_id", { peer_id: "-TR3000-" }, "failed to provide valid peer_id"],
    ["an empty peer_id", { peer_id: "" }, "failed to provide valid peer_id"],
    ["no left", { left: null }, "* up=10 down=20 left=18446744073709551615"],
    ["an empty left", { left: "" }, "* left=18446744073709551615"],
    ["a text as left", { left: "NaN" }, "* left=18446744073709551615"],
    ["no downloaded", { downloaded: null }, "* down=0 "],
    ["a text as downloaded", { downloaded: "1e3" }, "* down=0 "],
    ["no uploaded", { uploaded: null }, "* up=0 "],
    ["a text as uploaded", { uploaded: "0x0" }, "* up=0 "],
    ["the largest counters", { left: "18446744073709551615" }, "*left=18446744073709551615"],
    ["numwant", { numwant: "7" }, "*want=7 "],
    ["numwant 0", { numwant: "0" }, "*want=0 "],
    ["numwant above the maximum", { numwant: "4294967295" }, "*want=100 "],
    ["numwant -1", { numwant: "-1" }, "*want=50 "],
    ["an empty numwant", { numwant: "" }, "*want=50 "],
    ["no port", { port: null }, "failed to parse parameter: port"],
    ["an empty port", { port: "" }, "failed to parse parameter: port"],
    ["a port too large", { port: "65536" }, "failed to parse parameter: port"],
    ["the largest port", { port: "65535" }, "* 65535 "],
    ["port 0", { port: "0" }, "invalid port"],
    ["the last of two ports", { port: "1&port=2" }, "* 2 "],
    ["names in upper case", { port: null, PORT: "3" }, "* 3 "],
    ["an address that is not believed", { ip: "203.0.113.9" }, "* socket "],
    ["nonsense for an address that is not believed", { ip: "nonsense" }, "* socket "],
    ["a bad escape in a value", { port: "%zz" }, "invalid query escape"],
    ["a bad escape in a name", { "%a": "1" }, "invalid query escape"],
    ["a bad escape in an unknown parameter", { key: "%" }, "invalid query escape"],
  ]);
});

test("with allowIpSpoofing ip, ipv4 and ipv6 are believed; unusable values are ignored", async (t) => {
  const own = (host: string, v4: string, v6: string) => (host.includes(":") ? v6 : v4);
  type SpoofRow = [what: string, changes: Record<string, string | null>, stored: (host: string) => string[]];
  const rows: SpoofRow[] = [
    ["none", {}, (host) => [host]],
    ["ip", { ip: "203.0.113.9" }, () => ["203.0.113.9"]],
    ["ip of the other family", { ip: "2001:db8::9" }, () => ["2001:db8::9"]],
    [
      "ipv4",
      { ipv4: "203.0.113.9" },
      (host) => (own(host, "4", "6") === "4" ? ["203.0.113.9"] : ["203.0.113.9", host]),
    ],
    [
      "ipv6",
      { ipv6: "2001:db8::9" },
      (host) => (own(host, "4", "6") === "6" ? ["2001:db8::9"] : ["2001:db8::9", host]),
    ],
    [
      "both",
      { ipv6: "2001:db8::9", ipv4: "203.0.113.8" },
      (host) => own(host, "2001:db8::9 203.0.113.8", "203.0.113.8 2001:db8::9").split(" "),
    ],
    [
      "ip before that of its family",
      { ipv6: "2001:db8::9", ipv4: "203.0.113.8", ip: "203.0.113.9" },
      () => ["2001:db8::9", "203.0.113.9"],
    ],
    ["a mapped address", { ip: "::ffff:203.0.113.9" }, () => ["203.0.113.9"]],
    ["a host name", { ip: "localhost" }, (host) => [host]],
    [
      "nonsense beside an address",
      { ip: "nonsense", ipv4: "203.0.113.9", ipv6: "x" },
      (host) => own(host, "203.0.113.9", `203.0.113.9 ${host}`).split(" "),
    ],
    ["an empty address", { ip: "" }, (host) => [host]],
    ["nobody", { ip: "0.0.0.0", ipv4: "0.0.0.0", ipv6: "::" }, (host) => [host]],
    ["multicast", { ip: "224.0.0.1", ipv6: "ff02::1" }, (host) => [host]],
    ["broadcast", { ip: "255.255.255.255" }, (host) => [host]],
  ];
  for (const host of hosts) {
    for (const ipSpoofingFrom of [[], ["127.0.0.0/8", "::1"], ["10.0.0.0/8"]]) {
      const server = await startHttpServer(t, host, { allowIpSpoofing: true, ipSpoofingFrom });
      const client = new RawClient(t, server.port(), host);
      for (const [what, changes, expected] of rows) {
        const { body } = await client.get(`/announce?${announceQuery(changes)}`);
        assert.match(body, /8:complete/, what);
        const stored = server.store.announces.splice(0).map((line) => line.split(" ")[2]);
        assert.deepEqual(stored, ipSpoofingFrom[0]?.startsWith("10.") ? [host] : expected(host), what);
      }
    }
  }
});

test("of several errors the client gets the first in the order of Chihaya", async (t) => {
  const forwarded = "X-Forwarded-For: nonsense\r\n";
  // Everything is wrong; each row mends one thing more.
  const steps: [mended: Record<string, string | null>, headers: string, reason: string][] = [
    [{}, forwarded, "provided invalid infohash"],
    [{ info_hash: null }, forwarded, "invalid query escape"],
    [{ key: null }, forwarded, "no info_hash parameter supplied"],
    [{ info_hash: infoHash }, forwarded, "failed to parse parameter: peer_id"],
    [{ peer_id: "short" }, forwarded, "failed to provide valid peer_id"],
    [{ peer_id: "-TR3000-qk8ru6vj2551" }, forwarded, "failed to parse parameter: port"],
    [{ port: "0" }, forwarded, "failed to parse peer IP address"],
    [{}, "X-Forwarded-For: 0.0.0.0\r\n", "invalid port"],
    [{ port: "1" }, "X-Forwarded-For: 0.0.0.0\r\n", "invalid IP"],
    [{}, "X-Forwarded-For: 203.0.113.1\r\n", "refused by a hook"],
  ];
  const hook = { name: "refuse", handleAnnounce: () => new ClientError("refused by a hook") };
  for (const host of hosts) {
    const options = { realIpHeader: "x-forwarded-for", trustedProxies: [host] };
    const server = await startHttpServer(t, host, options, { preHooks: [hook] });
    const client = new RawClient(t, server.port(), host);
    let query: Record<string, string | null> = {
      key: "%",
      info_hash: "short",
      peer_id: null,
      left: "x",
      downloaded: "x",
      uploaded: "x",
      port: "x",
    };
    for (const [mended, headers, reason] of steps) {
      query = { ...query, ...mended };
      const { status, body } = await client.get(`/announce?${announceQuery(query)}`, headers);
      assert.equal(status, 200);
      assert.equal(body, failure(reason), `${reason} on ${host}`);
    }
  }
});

test("escapes and infohashes are judged in the order of the query", async (t) => {
  for (const host of hosts) {
    const server = await startHttpServer(t, host);
    const client = new RawClient(t, server.port(), host);
    assert.equal(
      (await client.get("/announce?info_hash=a&key=%")).body,
      failure("provided invalid infohash"),
    );
    assert.equal((await client.get("/announce?key=%&info_hash=a")).body, failure("invalid query escape"));
  }
});

test("the text of an internal error has no details", async (t) => {
  const hook = {
    name: "broken",
    handleAnnounce: () => {
      throw new Error("secret");
    },
  };
  for (const host of hosts) {
    const server = await startHttpServer(t, host, {}, { preHooks: [hook] });
    const client = new RawClient(t, server.port(), host);
    const { status, body } = await client.get(`/announce?${announceQuery()}`);
    assert.equal(status, 200);
    assert.match(body, /^d14:failure reason21:internal server error/);
    assert.ok(!body.includes("secret"));
    assert.equal(server.errors.length, 1);
  }
});

test("a scrape is for the family of the client, with and without a proxy", async (t) => {
  const hash = (letter: string) => letter.repeat(20);
  const hex = (letter: string) => Buffer.from(hash(letter)).toString("hex");
  for (const host of hosts) {
    const options = { realIpHeader: "x-real-ip", trustedProxies: [host] };
    const server = await startHttpServer(t, host, options);
    const client = new RawClient(t, server.port(), host);
    const own = host === "::1" ? "IPv6" : "IPv4";
    const rows: [query: string, headers: string, stored: string | undefined, body: string | RegExp][] = [
      ["", "", undefined, failure("no info_hash parameter supplied")],
      ["?info_hash=short", "", undefined, failure("provided invalid infohash")],
      ["?info_hash=%", "", undefined, failure("invalid query escape")],
      [
        `?info_hash=${hash("b")}&info_hash=${hash("a")}`,
        "",
        `${own} ${hex("b")} ${hex("a")}`,
        /^d5:filesd20:a{20}d8:completei2e10:downloadedi0e10:incompletei0ee20:b{20}d8:completei1e/,
      ],
      [`?info_hash=${hash("a")}`, "X-Real-IP: 203.0.113.1\r\n", `IPv4 ${hex("a")}`, /^d5:files/],
      [`?info_hash=${hash("a")}`, "X-Real-IP: 2001:db8::1\r\n", `IPv6 ${hex("a")}`, /^d5:files/],
      [`?info_hash=${hash("a")}`, "X-Real-IP: x\r\n", undefined, failure("failed to parse peer IP address")],
      [`?info_hash=${hash("a")}`, "X-Real-IP: ::\r\n", undefined, failure("invalid IP")],
    ];
    for (const [query, headers, stored, body] of rows) {
      const response = await client.get(`/scrape${query}`, headers);
      assert.equal(response.status, 200);
      assert.equal(server.store.scrapes.pop(), stored, query + headers);
      if (typeof body === "string") assert.equal(response.body, body);
      else assert.match(response.body, body);
    }
  }
});
