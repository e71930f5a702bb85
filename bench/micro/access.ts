import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AnnounceRequest, AnnounceResponse } from "../../src/bittorrent/announce.ts";
import { copy20, toHex } from "../../src/bittorrent/info-hash.ts";
import { PeerList } from "../../src/bittorrent/peer-list.ts";
import { ScrapeRequest, ScrapeResponse } from "../../src/bittorrent/scrape.ts";
import { createIntervalControl } from "../../src/hooks/interval-control/interval-control.ts";
import { createIpApproval } from "../../src/hooks/ip-approval/ip-approval.ts";
import { createRateLimit } from "../../src/hooks/rate-limit/rate-limit.ts";
import { createTorrentApproval } from "../../src/hooks/torrent-approval/torrent-approval.ts";
import { Address, type Family, formatIPv4, formatIPv6 } from "../../src/ip/address.ts";
import { createRandom } from "../../src/lib/clock.ts";
import { createBanHook } from "../../src/middleware/bans/ban-hook.ts";
import { BanMemory } from "../../src/middleware/bans/ban-memory.ts";
import type { HookDeps } from "../../src/middleware/define-hook.ts";
import { type Hook, RequestContext } from "../../src/middleware/hook.ts";
import { TrackerLogic } from "../../src/middleware/logic.ts";
import { silentLogger } from "../../src/observability/logger.ts";
import { Metrics } from "../../src/observability/metrics.ts";
import type { PeerStore } from "../../src/storage/peer-store.ts";
import { createSharedState, LocalHub } from "../../src/tracker/share-hub.ts";
import { approvalOptions } from "../../test/support/approval.ts";
import type { Micro } from "./micro.ts";

const million = 1_000_000;
/** Number of different requests, so that look-ups find little in the processor's cache. */
const requests = 65_536;

/** Hooks that guard the tracker, with a million entries each, over a store that does nothing. */
export const access: Micro = {
  title: "Access lists and guards, a million entries each, without a store",
  cases: async () => {
    const clock = { seconds: 1000, unixSeconds: 1000 };
    const random = createRandom(1);
    const store = { announce: () => undefined, remove() {} } as unknown as PeerStore;
    const deps = (name: string): HookDeps => {
      const parts = { clock, random, owner: 1 };
      const shared = createSharedState(new LocalHub(parts), name, parts);
      const lifetime = { peerLifetime: 60, gcInterval: 60 };
      return { clock, random, logger: silentLogger, metrics: new Metrics(), shared, store, lifetime };
    };
    const folder = mkdtempSync(join(tmpdir(), "chihaya-bench-"));
    const listOf = (name: string, entry: (n: number) => string) => {
      const file = join(folder, name);
      writeFileSync(file, `${Array.from({ length: million }, (_, n) => entry(n)).join("\n")}\n`);
      return file;
    };
    const bytes = new Uint8Array(20);
    const draw = () => {
      for (let i = 0; i < 20; i++) bytes[i] = random.next() >>> 8;
      return bytes;
    };

    const infoHashes: string[] = [];
    const torrents = listOf("torrents", (n) => {
      const infoHash = toHex(draw());
      if (n % Math.floor(million / requests) === 0) infoHashes.push(infoHash);
      return infoHash;
    });
    const networks = listOf("networks", (n) =>
      n % 2
        ? `${formatIPv4(draw(), 0)}`
        : `2001:db8:${formatIPv6(draw(), 0).split(":").slice(1, 3).join(":")}::/80`,
    );
    const torrentApproval = await createTorrentApproval(
      approvalOptions({ whitelistFrom: [torrents], maxEntries: million }),
      deps("t"),
    );
    const ipApproval = await createIpApproval(
      approvalOptions({ blacklistFrom: [networks], maxEntries: million }),
      deps("i"),
    );
    for (const hook of [torrentApproval, ipApproval]) await hook.start!();
    for (const hook of [torrentApproval, ipApproval]) await hook.stop!();
    rmSync(folder, { recursive: true });
    const limit = { rate: 1e6, burst: 1e6, addresses: million, exempt: [] };
    const rateLimit = await createRateLimit(limit, deps("r"));
    const control = { shortest: 600, longest: 3600, fewPeers: 10, manyPeers: 1000, jitter: 300 };
    const intervalControl = createIntervalControl(control);
    const bans = createBanHook(await BanMemory.open(deps("b").shared.buffer));

    // The infohash and the address of each request follow each other, as in a packet.
    const drawn = new Uint8Array(requests * 36);
    const families = new Uint8Array(requests);
    for (let n = 0; n < requests; n++) {
      drawn.set(Buffer.from(infoHashes[n % infoHashes.length]!, "hex"), n * 36);
      families[n] = n % 2 ? 4 : 6;
      const address =
        n % 2 ? draw().subarray(0, 4) : Address.parse(`2001:db8:${(n & 0xffff).toString(16)}::1`).bytes;
      drawn.set(address, n * 36 + 20);
    }
    const request = new AnnounceRequest();
    request.peerId.set(Buffer.from("-TR4060-6wfG2wk6wWLc"));
    const nothing = new Uint8Array(0);
    const response = new AnnounceResponse(new PeerList(4, nothing), new PeerList(6, nothing));
    const context = new RequestContext();
    const announce = (...preHooks: Hook[]) => {
      const report = (where: string, error: unknown) => {
        throw new Error(`${where} failed`, { cause: error });
      };
      const settings = { interval: 1800, minInterval: 900, preHooks, postHooks: [] };
      const logic = new TrackerLogic(store, settings, report);
      let next = 0;
      return () => {
        next = (next + 1) & (requests - 1);
        copy20(drawn, next * 36, request.infoHash);
        request.address.set(families[next] as Family, drawn, next * 36 + 20);
        return logic.handleAnnounce(request, response, context);
      };
    };
    const scraped = new ScrapeRequest(20);
    for (let n = 0; n < 20; n++) scraped.add(drawn, n * 36);
    scraped.address.set(4, drawn, 20);
    const scrapeResponse = new ScrapeResponse(20);
    return {
      "no hook": announce(),
      "bans, none": announce(bans),
      "bans, none, in a scrape of 20": () => bans.handleScrape!(scraped, scrapeResponse, context),
      "torrent approval, 1,000,000 infohashes": announce(torrentApproval),
      "ip approval, 1,000,000 networks": announce(ipApproval),
      "rate limit, 1,000,000 addresses": announce(rateLimit),
      "interval control": announce(intervalControl),
      "all four": announce(ipApproval, rateLimit, torrentApproval, intervalControl),
    };
  },
};
