import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, it, type TestContext } from "node:test";
import { findFreePort } from "../../test/e2e/ports.ts";
import { announce, scrape } from "./tracker-client.ts";

const infoHash = Uint8Array.from({ length: 20 }, (_, i) => (i * 37 + 120) & 0xff);
const peerId = Buffer.from("-CY0001-abc~._-+&=%A");
const encodedInfoHash = "x%9D%C2%E7%0C1V%7B%A0%C5%EA%0F4Y~%A3%C8%ED%127";
const encodedPeerId = "-CY0001-abc~._-%2B%26%3D%25A";

interface Reply {
  status?: number;
  headers?: Record<string, string>;
  body: string | Uint8Array;
}

/** Starts a tracker that gives `reply` to each request, and keeps the request targets. */
async function startTracker(
  t: TestContext,
  reply: (target: string) => Reply | undefined,
): Promise<{ url: string; targets: string[] }> {
  const targets: string[] = [];
  const server: Server = createServer((request, response) => {
    targets.push(request.url!);
    const answer = reply(request.url!);
    if (answer === undefined) return; // silence
    response.writeHead(answer.status ?? 200, answer.headers);
    response.end(typeof answer.body === "string" ? Buffer.from(answer.body, "latin1") : answer.body);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, targets };
}

const leech = { infoHash, peerId, port: 6881, left: 1n };

describe("announce over HTTP", () => {
  it("encodes every byte and keeps the query of the URL", async (t) => {
    const { url, targets } = await startTracker(t, () => ({ body: "d8:intervali60e5:peers0:e" }));
    await announce(`${url}/announce?passkey=a%2Fb`, {
      ...leech,
      left: 2n ** 64n - 1n,
      uploaded: 5n,
      downloaded: 6n,
      event: 2,
      numWant: 0,
      key: 0xabc,
    });
    assert.deepEqual(targets, [
      `/announce?passkey=a%2Fb&info_hash=${encodedInfoHash}&peer_id=${encodedPeerId}&port=6881&uploaded=5&downloaded=6` +
        "&left=18446744073709551615&compact=1&event=started&numwant=0&key=00000ABC",
    ]);
  });

  it("leaves out what is not given", async (t) => {
    const { url, targets } = await startTracker(t, () => ({ body: "d8:intervali60e5:peers0:e" }));
    await announce(url, { ...leech, compact: false });
    assert.deepEqual(targets, [
      `/?info_hash=${encodedInfoHash}&peer_id=${encodedPeerId}&port=6881&uploaded=0&downloaded=0&left=1&compact=0`,
    ]);
  });

  it("reads a compact answer of both families", async (t) => {
    const v6 = `${"\0".repeat(15)}\x01\x1a\xe2`;
    const { url } = await startTracker(t, () => ({
      body:
        "d8:completei3e11:external ip4:\x7f\0\0\x0110:incompletei2e8:intervali1800e12:min intervali900e" +
        `5:peers12:\x7f\0\0\x01\x1a\xe1\x0a\0\0\x02\xff\xff6:peers618:${v6}15:warning message4:slowe`,
    }));
    assert.deepEqual(await announce(url, leech), {
      complete: 3,
      externalIp: "127.0.0.1",
      incomplete: 2,
      interval: 1800,
      minInterval: 900,
      peers: [
        { ip: "127.0.0.1", port: 6881 },
        { ip: "10.0.0.2", port: 65535 },
        { ip: "::1", port: 6882 },
      ],
      warning: "slow",
    });
  });

  it("reads an answer that is not compact, with and without peer ids", async (t) => {
    const { url } = await startTracker(t, () => ({
      body: `d8:intervali60e5:peersld2:ip9:127.0.0.17:peer id20:${peerId.toString("latin1")}4:porti1eed2:ip3:::24:porti2eeee`,
    }));
    const { peers } = await announce(url, leech);
    assert.deepEqual(
      peers.map((peer) => ({ ...peer, peerId: peer.peerId && Buffer.from(peer.peerId).toString() })),
      [
        { ip: "127.0.0.1", port: 1, peerId: peerId.toString() },
        { ip: "::2", port: 2, peerId: undefined },
      ],
    );
  });

  it("follows redirects, and not for ever", async (t) => {
    const { url, targets } = await startTracker(t, (target) =>
      target.startsWith("/announce")
        ? { status: 302, headers: { Location: "/elsewhere?a=1" }, body: "" }
        : { body: "d8:intervali7ee" },
    );
    assert.equal((await announce(`${url}/announce`, leech)).interval, 7);
    assert.equal(targets[1], "/elsewhere?a=1");
    const endless = await startTracker(t, () => ({ status: 301, headers: { Location: "/" }, body: "" }));
    await assert.rejects(announce(endless.url, leech), { kind: "malformed" });
    assert.equal(endless.targets.length, 6);
  });

  const refusals: [string, Reply, object][] = [
    [
      "a failure reason",
      { body: "d14:failure reason8:no entry8:retry in5:nevere" },
      { kind: "refused", message: "no entry", retryIn: "never" },
    ],
    [
      "a failure reason with another status",
      { status: 403, body: "d14:failure reason8:no entry8:retry ini5ee" },
      { kind: "refused", message: "no entry", retryIn: "5" },
    ],
    ["another status", { status: 404, body: "not here" }, { kind: "malformed", message: /404/ }],
    ["a body that is not bencoded", { body: "<html>" }, { kind: "malformed" }],
    ["no dictionary", { body: "le" }, { kind: "malformed" }],
    ["no interval", { body: "d5:peers0:e" }, { kind: "malformed", message: /interval/ }],
    ["half a peer", { body: "d8:intervali1e5:peers5:aaaaae" }, { kind: "malformed" }],
    ["a peer of another type", { body: "d8:intervali1e5:peersli1eee" }, { kind: "malformed" }],
    ["a peer without a port", { body: "d8:intervali1e5:peersld2:ip3:::1eee" }, { kind: "malformed" }],
    ["too long an answer", { body: new Uint8Array((1 << 20) + 1) }, { kind: "malformed" }],
  ];
  for (const [what, reply, expected] of refusals) {
    it(`fails for ${what}`, async (t) => {
      const { url } = await startTracker(t, () => reply);
      await assert.rejects(announce(url, leech), { name: "TrackerError", ...expected });
    });
  }

  it("tells silence from refusal, and from being aborted", async (t) => {
    const { url } = await startTracker(t, () => undefined);
    await assert.rejects(announce(url, leech, { timeoutMs: 20 }), { kind: "timeout" });
    const controller = new AbortController();
    const announced = announce(url, leech, { signal: controller.signal });
    controller.abort(new Error("enough"));
    await assert.rejects(announced, { message: "enough" });
  });

  it("says when nobody listens", async () => {
    const port = await findFreePort();
    await assert.rejects(announce(`http://127.0.0.1:${port}/announce`, leech), { kind: "unreachable" });
  });

  for (const url of ["ftp://127.0.0.1/", "udp://127.0.0.1", "no url"]) {
    it(`refuses ${url}`, () => assert.throws(() => announce(url, leech), { kind: "unsupported" }));
  }
});

describe("scrape over HTTP", () => {
  const other = new Uint8Array(20).fill(0xff);
  const key = (bytes: Uint8Array) => `20:${Buffer.from(bytes).toString("latin1")}`;

  it("gives the counts in the order of the question, and none for what is not answered", async (t) => {
    const { url, targets } = await startTracker(t, () => ({
      body:
        `d5:filesd${key(infoHash)}d8:completei1e10:downloadedi2e11:downloadersi3e10:incompletei4ee` +
        `${key(other)}d8:completei5e10:incompletei6eeee`,
    }));
    assert.deepEqual(await scrape(`${url}/announce?a=b`, [other, peerId, infoHash]), [
      { complete: 5, incomplete: 6 },
      undefined,
      { complete: 1, downloaded: 2, downloaders: 3, incomplete: 4 },
    ]);
    assert.deepEqual(targets, [
      `/scrape?a=b&info_hash=${"%FF".repeat(20)}&info_hash=${encodedPeerId}&info_hash=${encodedInfoHash}`,
    ]);
  });

  it("asks in batches of 50", async (t) => {
    const { url, targets } = await startTracker(t, () => ({ body: "d5:filesdee" }));
    const infoHashes = Array.from({ length: 101 }, () => infoHash);
    assert.equal((await scrape(`${url}/announce`, infoHashes)).length, 101);
    assert.deepEqual(
      targets.map((target) => target.split("info_hash=").length - 1),
      [50, 50, 1],
    );
  });

  it("fails without files", async (t) => {
    const { url } = await startTracker(t, () => ({ body: "de" }));
    await assert.rejects(scrape(`${url}/announce`, [infoHash]), { kind: "malformed" });
  });
});
