import assert from "node:assert/strict";
import { AnnounceRequest, AnnounceResponse } from "../../src/bittorrent/announce.ts";
import { AnnounceEvent } from "../../src/bittorrent/event.ts";
import { PeerList } from "../../src/bittorrent/peer-list.ts";
import { Address } from "../../src/ip/address.ts";
import { createRandom } from "../../src/lib/clock.ts";
import { type PeerStore, Step, type SwarmKind } from "../../src/storage/peer-store.ts";

/**
 * Announces peers of three users at random, and checks every list: a peer gets as many peers as it wants, and no peers of
 * its own user.
 */
export async function checkOwnPeers(
  store: PeerStore,
  kind: SwarmKind,
  { steps, peers, seed = 5 }: { steps: number; peers: number; seed?: number },
): Promise<void> {
  const random = createRandom(seed);
  const request = new AnnounceRequest();
  const lists = [4, 6, 4].map((family) => new PeerList(family as 4 | 6, new Uint8Array(50 * 18)));
  const response = new AnnounceResponse(lists[0]!, lists[1]!, lists[2]);
  const own = lists[kind === 4 ? 0 : kind === 6 ? 1 : 2]!;
  const place = kind === 6 ? 14 : 2;
  const stride = kind === 6 ? 18 : 6;
  /** The swarm as it should be: the user and the role of each peer. */
  const model = new Map<number, { tag: number; seeder: boolean }>();
  for (let step = 0; step < steps; step++) {
    const n = 1 + (random.next() % peers);
    const { tag } = model.get(n) ?? { tag: 1 + (random.next() % 3) };
    const seeder = random.next() % 2 === 0;
    const isStopped = random.next() % 8 === 0;
    if (kind === "web") Object.assign(request, { kind, handle: n, generation: 0 });
    else
      request.address.copyFrom(
        Address.parse(kind === 4 ? `10.0.${n >> 8}.${n & 255}` : `2001:db8::${n.toString(16)}`),
      );
    Object.assign(request, { port: 7, tag, left: seeder ? 0n : 1n });
    request.event = isStopped ? AnnounceEvent.stopped : AnnounceEvent.none;
    request.peerId.fill(1);
    request.numWant = 1 + (random.next() % 50);
    for (const list of lists) list.limit = 50;
    response.reset(1800, 900);
    await store.announce(request, response, Step.both);
    if (isStopped) model.delete(n);
    else model.set(n, { tag, seeder });
    const got = Array.from({ length: own.count }, (_, i) => own.view.getUint16(i * stride + place));
    assert.equal(new Set(got).size, got.length);
    for (const other of got) assert.notEqual(model.get(other)?.tag, tag, `step ${step}`);
    for (const other of got) assert.ok(model.has(other));
    const wanted = [...model.values()].filter(
      (peer) => peer.tag !== tag && (kind === "web" || !seeder || !peer.seeder),
    );
    if (!isStopped) assert.equal(got.length, Math.min(wanted.length, request.numWant), `step ${step}`);
  }
}
