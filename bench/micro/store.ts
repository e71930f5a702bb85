import { createRandom } from "../../src/lib/clock.ts";
import { MemoryStore } from "../../src/storage/memory/memory-store.ts";
import { Step } from "../../src/storage/peer-store.ts";
import { Announcer, hotShare, hotTorrents } from "../support/announcer.ts";
import type { Micro, MicroCase } from "./micro.ts";

const shapes = [
  { label: "10,000 torrents", torrents: 10_000, peers: 1_000_000 },
  { label: "1,000,000 torrents", torrents: 1_000_000, peers: 2_000_000 },
] as const;

/**
 * Announces for 30 peers to the memory store, each by a random peer of a random torrent: 1.4 % of the torrents have 73 % of
 * the peers. Such a load mostly waits for memory.
 */
export const store: Micro = {
  title: "Memory store, random announces for 30 peers",
  cases: () => Object.assign({}, ...shapes.map(casesOf)) as Record<string, MicroCase>,
};

function casesOf({ label, torrents, peers }: (typeof shapes)[number]): Record<string, MicroCase> {
  const random = createRandom(1);
  const config = { gcInterval: 180, peerLifetime: 1860, maxPeers: peers * 3, peerIds: false };
  const store = new MemoryStore({ config, clock: { seconds: 1000, unixSeconds: 0 }, random });
  const announcer = new Announcer(30);
  const { request, response } = announcer;
  const hot = hotTorrents(torrents);
  // A peer always announces the same torrent, so that most announces find it.
  const choose = (peer: number) => {
    const mixed = Math.imul(peer ^ (peer >>> 15), 0x2c1b3c6d) >>> 0;
    const isHot = mixed / 2 ** 32 < hotShare;
    const other = Math.imul(mixed ^ (mixed >>> 12), 0x297a2d39) >>> 0;
    announcer.torrent(isHot ? other % hot : hot + (other % (torrents - hot)));
    announcer.peer(peer);
  };
  for (let peer = 0; peer < peers; peer++) {
    choose(peer);
    store.announce(request, response, Step.apply);
  }
  const announce = (step: Step) => () => {
    choose(random.next() % peers);
    store.announce(request, response, step);
  };
  return {
    [`${label}: announce`]: announce(Step.both),
    [`${label}: apply only`]: announce(Step.apply),
    [`${label}: select only`]: announce(Step.select),
    [`${label}: choosing alone, which the others include`]: () => choose(random.next() % peers),
  };
}
