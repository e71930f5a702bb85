import { AnnounceRequest, AnnounceResponse } from "../../src/bittorrent/announce.ts";
import { PeerList } from "../../src/bittorrent/peer-list.ts";
import { createIntervalVariation } from "../../src/hooks/interval-variation/interval-variation.ts";
import { createRandom } from "../../src/lib/clock.ts";
import { type Hook, RequestContext } from "../../src/middleware/hook.ts";
import { TrackerLogic } from "../../src/middleware/logic.ts";
import type { PeerStore } from "../../src/storage/peer-store.ts";
import { approveClients, approveTorrents } from "../../test/support/approval.ts";
import type { Micro } from "./micro.ts";

/** Creates a hook with its own function, like a real hook. */
function idleHook(): Hook {
  return { name: "idle", handleAnnounce: new Function() as () => undefined };
}

/** The logic and its chain of prehooks, over a store that does nothing. */
export const chain: Micro = {
  title: "Logic and chain of hooks, without a store",
  cases: async () => {
    const request = new AnnounceRequest();
    const nothing = new Uint8Array(0);
    const response = new AnnounceResponse(new PeerList(4, nothing), new PeerList(6, nothing));
    const context = new RequestContext();
    const random = createRandom(1);
    const infoHash = () => Buffer.from(Uint8Array.from({ length: 20 }, () => random.next())).toString("hex");
    const whitelist = Array.from({ length: 100_000 }, infoHash);
    request.infoHash.set(Buffer.from(whitelist[77]!, "hex"));
    request.peerId.set(Buffer.from("-TR4060-6wfG2wk6wWLc"));

    const announce = (...preHooks: Hook[]) => {
      const store = { announce: () => undefined } as unknown as PeerStore;
      const report = (where: string, error: unknown) => {
        throw new Error(`${where} failed`, { cause: error });
      };
      const settings = { interval: 1800, minInterval: 900, preHooks, postHooks: [] };
      const logic = new TrackerLogic(store, settings, report);
      return () => logic.handleAnnounce(request, response, context);
    };
    const clientApproval = await approveClients({ blacklist: ["UT2300", "AZ2060", "QVOD00"] });
    const torrentApproval = await approveTorrents({ whitelist });
    const intervalVariation = createIntervalVariation({
      modifyResponseProbability: 0.5,
      maxIncreaseDelta: 60,
    });
    return {
      "no hook": announce(),
      "1 hook that does nothing": announce(idleHook()),
      "2 hooks that do nothing": announce(idleHook(), idleHook()),
      "3 hooks that do nothing": announce(idleHook(), idleHook(), idleHook()),
      "4 hooks that do nothing": announce(idleHook(), idleHook(), idleHook(), idleHook()),
      "client approval": announce(clientApproval),
      "torrent approval, 100,000 infohashes": announce(torrentApproval),
      "interval variation": announce(intervalVariation),
      "all three": announce(clientApproval, torrentApproval, intervalVariation),
    };
  },
};
