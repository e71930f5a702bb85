import assert from "node:assert/strict";
import type { AnnounceEvent } from "../../src/bittorrent/event.ts";
import { toHex } from "../../src/bittorrent/info-hash.ts";
import { createRandom } from "../../src/lib/clock.ts";
import {
  type AnnounceOptions,
  type ConformanceEnvironment,
  otherKind,
  StoreTester,
  type TesterResponse,
  testInfoHash,
  testPeer,
} from "../../src/storage/conformance/store-tester.ts";
import { type PeerStore, Step, type SwarmKind } from "../../src/storage/peer-store.ts";
import { type MapStore, sizeOf } from "./map-store.ts";

/** Options of a random comparison. */
export interface ComparisonOptions {
  /** Clock of the store and of the model; the comparison advances it. */
  environment: ConformanceEnvironment;
  seed: number;
  /** Total number of announces, scrapes and expiries. */
  steps: number;
  torrents?: number;
  /** Number of peers of each kind. */
  peers?: number;
}

/**
 * Sends the same random requests to a store and to the model, and compares the results of each step. Counts, scrapes,
 * statistics and listed swarms must be equal. A list of peers must have as many seeders and leechers of each kind as the
 * model's list, with seeders first; all peers must be members, and none may be listed twice. Both stores must be empty and
 * started.
 * @throws AssertionError that names the seed and the step
 */
export async function compareWithModel(
  store: PeerStore,
  model: MapStore,
  options: ComparisonOptions,
): Promise<void> {
  const { environment, seed, steps, torrents = 5, peers = 60 } = options;
  const random = createRandom(seed);
  const kinds: readonly SwarmKind[] = store.sweep === undefined ? [4, 6] : [4, 6, "web"];
  const below = (limit: number) => random.next() % limit;
  const real = new StoreTester(store, environment);
  const twin = new StoreTester(model, environment);
  const infoHashes = Array.from({ length: torrents }, (_, n) => testInfoHash(n));

  const announce = async (): Promise<void> => {
    // The square gives some torrents many peers and others only a few.
    const infoHash = infoHashes[Math.floor((below(1000) / 1000) ** 2 * torrents)]!;
    const kind = kinds[below(kinds.length)]!;
    const peer = testPeer(kind, below(peers));
    const given: AnnounceOptions = {
      event: [0, 0, 0, 0, 1, 2, 3, 3, 4][below(9)] as AnnounceEvent,
      left: below(2) === 0 ? 0n : 1n,
      numWant: [0, 1, 5, 50, 200][below(5)]!,
      otherLimit: [0, 0, 3, 200][below(4)]!,
      step: ([Step.both, Step.both, Step.both, Step.apply, Step.select] as const)[below(5)]!,
    };
    const [answer, expected] = [
      await real.announce(infoHash, peer, given),
      await twin.announce(infoHash, peer, given),
    ];
    const swarm = model.torrents.get(toHex(infoHash))?.peers;
    const roles = (names: readonly string[], of: SwarmKind): string[] =>
      names.map((name) => {
        const member = swarm?.[of].get(name);
        assert.ok(member, `${name} is listed and not a member`);
        return member.seeder ? "seeder" : "leecher";
      });
    const shape = ({ peers, others, seeders, ...counts }: TesterResponse) => {
      assert.equal(new Set(peers).size, peers.length, "a peer is listed twice");
      assert.equal(new Set(others).size, others.length, "a peer of the other family is listed twice");
      // A peer with another stored role than the announced one is not in the list, though a store may count it.
      const first = given.step === Step.both ? seeders : undefined;
      return { ...counts, first, own: roles(peers, kind), other: roles(others, otherKind(kind)) };
    };
    assert.deepEqual(shape(answer), shape(expected));
    const self = `${peer.address}:${peer.port}`;
    assert.equal(answer.peers.includes(self), expected.peers.includes(self), "the announcer in its own list");
  };

  const compareAll = async (): Promise<void> => {
    for (const kind of kinds) {
      assert.deepEqual(await real.scrape(infoHashes, kind), await twin.scrape(infoHashes, kind));
    }
    // A torrent without peers counts as long as the store remembers its snatches.
    const { torrents: _, ...counts } = await real.statistics();
    const statistics = { peersWeb: 0, ...counts };
    assert.deepEqual(statistics, await twin.statistics());
    const members = async (tester: StoreTester) =>
      (await tester.swarms()).filter(({ summary }) => summary.seeders + summary.leechers > 0);
    assert.deepEqual(
      (await members(real)).map(({ summary, key }) => ({ ...summary, infoHash: key })),
      (await members(twin)).map(({ summary, key }) => ({ ...summary, infoHash: key })),
    );
  };

  const expire = async (): Promise<void> => {
    assert.equal(await real.expire(), await twin.expire(), "peers that expired");
    // Each store decides how long a torrent without peers keeps its snatches.
    for (const infoHash of infoHashes) {
      const torrent = model.torrents.get(toHex(infoHash));
      if (!torrent || sizeOf(torrent) > 0) continue;
      if ((await real.scrapeOne(infoHash, 4)).snatches === 0) model.torrents.delete(toHex(infoHash));
    }
  };

  for (let step = 0; step < steps; step++) {
    try {
      const kind = below(100);
      if (kind < 92) await announce();
      else if (kind < 97) await compareAll();
      else if (kind < 99) real.advance(below(Math.ceil(environment.peerLifetime / 4)));
      else await expire();
    } catch (error) {
      throw new assert.AssertionError({ message: `seed ${seed}, step ${step}: ${(error as Error).message}` });
    }
  }
  await compareAll();
}
