import assert from "node:assert/strict";
import type { AnnounceEvent } from "../../src/bittorrent/event.ts";
import { toHex } from "../../src/bittorrent/info-hash.ts";
import type { Family } from "../../src/ip/address.ts";
import { createRandom } from "../../src/lib/clock.ts";
import {
  type AnnounceOptions,
  type Answer,
  type ConformanceEnvironment,
  StoreTester,
  testInfoHash,
  testPeer,
} from "../../src/storage/conformance/store-tester.ts";
import { type PeerStore, Step } from "../../src/storage/peer-store.ts";
import type { MapStore } from "./map-store.ts";

/** How a random comparison goes. */
export interface ComparisonOptions {
  /** Of the store and of the model alike; turned as the comparison goes on. */
  environment: ConformanceEnvironment;
  seed: number;
  /** Announces, scrapes and expiries together. */
  steps: number;
  torrents?: number;
  /** Peers of each family. */
  peers?: number;
}

/**
 * Does the same random things to a store and to the model and compares, step by step, counts, scrapes,
 * statistics and listed swarms exactly, and lists of peers by what they must hold: as many seeders and leechers of
 * each family as the model's, seeders first, all of them members, none twice. Both begin empty and started.
 * @throws AssertionError that names the seed and the step
 */
export async function compareWithModel(
  store: PeerStore,
  model: MapStore,
  options: ComparisonOptions,
): Promise<void> {
  const { environment, seed, steps, torrents = 5, peers = 60 } = options;
  const random = createRandom(seed);
  const below = (limit: number) => random.next() % limit;
  const real = new StoreTester(store, environment);
  const twin = new StoreTester(model, environment);
  const infoHashes = Array.from({ length: torrents }, (_, n) => testInfoHash(n));

  const announce = async (): Promise<void> => {
    // The square makes some torrents big and leaves others with a handful of peers.
    const infoHash = infoHashes[Math.floor((below(1000) / 1000) ** 2 * torrents)]!;
    const family: Family = below(2) === 0 ? 4 : 6;
    const peer = testPeer(family, below(peers));
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
    const roles = (names: readonly string[], of: Family): string[] =>
      names.map((name) => {
        const member = swarm?.[of].get(name);
        assert.ok(member, `${name} is listed and not a member`);
        return member.seeder ? "seeder" : "leecher";
      });
    const shape = ({ peers, others, seeders, ...counts }: Answer) => {
      assert.equal(new Set(peers).size, peers.length, "a peer is listed twice");
      assert.equal(new Set(others).size, others.length, "a peer of the other family is listed twice");
      // One that is stored in another role than it says is not in its list, though a store may count it there.
      const first = given.step === Step.both ? seeders : undefined;
      return { ...counts, first, own: roles(peers, family), other: roles(others, family === 4 ? 6 : 4) };
    };
    assert.deepEqual(shape(answer), shape(expected));
    const self = `${peer.address}:${peer.port}`;
    assert.equal(answer.peers.includes(self), expected.peers.includes(self), "the announcer in its own list");
  };

  const compareAll = async (): Promise<void> => {
    for (const family of [4, 6] as const) {
      assert.deepEqual(await real.scrape(infoHashes, family), await twin.scrape(infoHashes, family));
    }
    assert.deepEqual(await real.statistics(), await twin.statistics());
    const members = async (tester: StoreTester) =>
      (await tester.swarms()).filter(({ summary }) => summary.seeders + summary.leechers > 0);
    assert.deepEqual(
      (await members(real)).map(({ summary, key }) => ({ ...summary, infoHash: key })),
      (await members(twin)).map(({ summary, key }) => ({ ...summary, infoHash: key })),
    );
  };

  const expire = async (): Promise<void> => {
    assert.equal(await real.expire(), await twin.expire(), "peers that expired");
    // How long a torrent without peers keeps its snatches is the store's own affair.
    for (const infoHash of infoHashes) {
      const torrent = model.torrents.get(toHex(infoHash));
      if (!torrent || torrent.peers[4].size + torrent.peers[6].size > 0) continue;
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
