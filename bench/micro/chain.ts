/**
 * The logic and its chain of prehooks alone, over a store that does nothing: time and heap of an announce with
 * 0 to 4 hooks that do nothing, with one that waits, and with each of the built-in ones.
 *
 * Usage: node --expose-gc bench/micro/chain.ts
 */
import { bench, do_not_optimize, group, run } from "mitata";
import { AnnounceRequest, AnnounceResponse } from "../../src/bittorrent/announce.ts";
import { createRandom } from "../../src/bittorrent/clock.ts";
import { PeerList } from "../../src/bittorrent/peer-list.ts";
import { createClientApproval } from "../../src/middleware/client-approval/client-approval.ts";
import { type Hook, RequestContext } from "../../src/middleware/hook.ts";
import { createIntervalVariation } from "../../src/middleware/interval-variation/interval-variation.ts";
import { TrackerLogic } from "../../src/middleware/logic.ts";
import { createTorrentApproval } from "../../src/middleware/torrent-approval/torrent-approval.ts";
import type { PeerStore } from "../../src/storage/peer-store.ts";

const request = new AnnounceRequest();
const response = new AnnounceResponse(new PeerList(4, new Uint8Array(0)), new PeerList(6, new Uint8Array(0)));
const context = new RequestContext();

const random = createRandom(1);
const infoHash = () => Buffer.from(Uint8Array.from({ length: 20 }, () => random.next())).toString("hex");
const whitelist = Array.from({ length: 100_000 }, infoHash);
request.infoHash.set(Buffer.from(whitelist[77]!, "hex"));
request.peerId.set(Buffer.from("-TR4060-6wfG2wk6wWLc"));

function createLogic(preHooks: Hook[]): TrackerLogic {
  const store = { announce: () => undefined } as unknown as PeerStore;
  const report = (where: string, error: unknown) => {
    throw new Error(`${where} failed`, { cause: error });
  };
  return new TrackerLogic(store, { interval: 1800, minInterval: 900, preHooks, postHooks: [] }, report);
}

/** A hook with a function of its own, as hooks have. */
function idleHook(): Hook {
  return { name: "idle", handleAnnounce: new Function() as () => undefined };
}

function measure(name: string, preHooks: Hook[]): void {
  const logic = createLogic(preHooks);
  bench(name, () => do_not_optimize(logic.handleAnnounce(request, response, context))).gc("inner");
}

group("hooks that do nothing", () => {
  for (let count = 0; count <= 4; count++) measure(`${count} hooks`, Array.from({ length: count }, idleHook));
});

group("built-in hooks", () => {
  const clientApproval = createClientApproval({ blacklist: ["UT2300", "AZ2060", "QVOD00"] });
  const torrentApproval = createTorrentApproval({ whitelist });
  const intervalVariation = createIntervalVariation({ modifyResponseProbability: 0.5, maxIncreaseDelta: 60 });
  measure("client approval", [clientApproval]);
  measure("torrent approval, 100,000 infohashes", [torrentApproval]);
  measure("interval variation", [intervalVariation]);
  measure("all three", [clientApproval, torrentApproval, intervalVariation]);
});

group("waiting", () => {
  const logic = createLogic([{ name: "late", handleAnnounce: async () => undefined }]);
  bench("one hook that waits", async () =>
    do_not_optimize(await logic.handleAnnounce(request, response, context)),
  );
});

await run();
