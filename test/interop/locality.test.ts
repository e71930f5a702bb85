/** `locality` in a tracker that runs, with clients at many addresses of loopback. */
import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { get } from "node:http";
import { test } from "node:test";
import { createAnnounceRequest, createConnectRequest, parseResponse } from "../../src/protocol/udp/client.ts";
import { Daemon } from "../support/daemon.ts";

const infoHash = Buffer.alloc(20, "locality-");
const racks = 4;
const hostsInRack = 30;

/** Who announces: host `host` of rack `rack`, at 127.rack.0.host. */
interface Client {
  rack: number;
  host: number;
}

const addressOf = ({ rack, host }: Client) => `127.${rack}.0.${host}`;
const portOf = ({ rack, host }: Client) => 10_000 + 100 * rack + host;

async function announceOverUdp(daemon: Daemon, client: Client): Promise<Buffer> {
  const socket = createSocket("udp4");
  socket.bind(0, addressOf(client));
  await once(socket, "listening");
  const ask = async (request: Uint8Array): Promise<Buffer> => {
    socket.send(request, daemon.port("udp"), "127.0.0.1");
    const [answer] = (await once(socket, "message")) as [Buffer];
    return answer;
  };
  try {
    const { connectionId } = parseResponse(await ask(createConnectRequest(1)), 4) as { connectionId: bigint };
    const answer = await ask(
      createAnnounceRequest({
        ...{ connectionId, transactionId: 2, infoHash, peerId: infoHash, left: 1n },
        ...{ numWant: 20, port: portOf(client), urlData: "" },
      }),
    );
    return answer.subarray(20);
  } finally {
    socket.close();
  }
}

async function announceOverHttp(daemon: Daemon, client: Client): Promise<Buffer> {
  const query = `info_hash=${infoHash}&peer_id=${infoHash}&port=${portOf(client)}&uploaded=0&downloaded=0&left=1&numwant=20&compact=1`;
  const url = `${daemon.url("http")}/announce?${query}`;
  const [response] = await once(get(url, { localAddress: addressOf(client), agent: false }), "response");
  const body = Buffer.concat(await response.toArray());
  const [head, length] = /5:peers(\d+):/.exec(body.toString("latin1"))!;
  const at = body.indexOf(head) + head.length;
  return body.subarray(at, at + Number(length));
}

/** The racks of the peers in a compact list. */
function racksOf(peers: Buffer): number[] {
  assert.equal(peers.length % 6, 0);
  const all = Array.from({ length: peers.length / 6 }, (_, i) => peers.subarray(6 * i, 6 * i + 6));
  assert.equal(new Set(all.map((peer) => peer.toString("hex"))).size, all.length, "none is listed twice");
  return all.map((peer) => peer[1]!);
}

test("neighbours are listed first over UDP and HTTP, named networks take a reload", async (t) => {
  const hook = (level: object) => ({ prehooks: [{ name: "locality", options: { levels: [level] } }] });
  const daemon = await Daemon.start(t, hook({ name: "rack", ipv4: 16, ipv6: 48 }));
  const clients = Array.from({ length: racks * hostsInRack }, (_, i) => ({
    rack: 1 + (i % racks),
    host: 1 + Math.floor(i / racks),
  }));
  const announce = (client: Client) =>
    client.host % 2 === 0 ? announceOverUdp(daemon, client) : announceOverHttp(daemon, client);
  for (const client of clients) await announce(client);
  for (const client of clients.slice(-8)) {
    const listed = racksOf(await announce(client));
    const near = listed.filter((rack) => rack === client.rack);
    assert.deepEqual([listed.length, near.length], [20, 16], `of the rack of ${addressOf(client)}`);
    assert.deepEqual(listed.slice(0, 16), near, "first");
  }

  const pairs = {
    name: "pair",
    networks: { a: ["127.1.0.0/16", "127.2.0.0/16"], b: ["127.3.0.0/16", "127.4.0.0/16"] },
  };
  assert.partialDeepStrictEqual(await daemon.reload(hook(pairs)), { msg: "configuration reloaded" });
  for (const client of clients) await announce(client);
  const both = new Set<number>();
  for (const client of clients.slice(-8)) {
    const listed = racksOf(await announce(client));
    const isOfPair = (rack: number) => rack > 2 === client.rack > 2;
    assert.deepEqual(listed.map(isOfPair), [...Array(16).fill(true), ...Array(4).fill(false)]);
    for (const rack of listed) both.add(rack);
  }
  assert.deepEqual([...both].sort(), [1, 2, 3, 4]);

  const metrics = await (await fetch(`${daemon.url("metrics")}/metrics`)).text();
  assert.match(metrics, /^chihaya_locality_peers_total\{level="pair"\} [1-9]/m);
  assert.match(metrics, /^chihaya_locality_refused_peers_total 0$/m);
});
