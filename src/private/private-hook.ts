import type { AnnounceRequest } from "../bittorrent/announce.ts";
import type { ClientError } from "../bittorrent/client-error.ts";
import { AnnounceEvent } from "../bittorrent/event.ts";
import type { Params } from "../bittorrent/params.ts";
import type { Clock } from "../lib/clock.ts";
import type { Hook } from "../middleware/hook.ts";
import type { SharedState } from "../middleware/shared-state.ts";
import type { Metrics } from "../observability/metrics.ts";
import { Directory, type DirectoryMemory, isPasskey, passkeyLength, UserFlag } from "./directory.ts";
import {
  accountingBusy,
  leechingForbidden,
  passkeyNotFound,
  unregisteredTorrent,
  userDisabled,
} from "./errors.ts";
import { Field } from "./record.ts";
import { Ring } from "./ring.ts";
import type { WorkerAccounting } from "./thread-memory.ts";

/** The scope of the hook's shared state, which no other hook can have. */
export const privateScope = ":private";
/** The topic of that scope under which the accountant publishes the {@link DirectoryMemory}. */
export const directoryTopic = "directory";

/** The collaborators of the hook. */
export interface PrivateHookDeps {
  clock: Clock;
  metrics: Metrics;
  shared: Pick<SharedState, "subscribe">;
}

/** Seconds that the end of a run waits for its record to be on disk. */
const longestWait = 10;
/** Milliseconds after which announces that wait compare their deadline with the clock. */
const lookMs = 1000;

/**
 * Creates the prehook `private`, the last one: an announce needs the passkey of a user and a torrent of the site. Each accepted
 * announce becomes a record for the accountant. An announce with `stopped` or `completed` waits until its record is on disk,
 * because no later announce repeats its counters. Any other announce waits for nothing and allocates nothing.
 */
export function createPrivateHook(
  memory: WorkerAccounting,
  { clock, metrics, shared }: PrivateHookDeps,
): Hook {
  const ring = new Ring(memory);
  const { words } = ring.records;
  const passkey = new Uint8Array(passkeyLength);
  const passkeyWords = new Int32Array(passkey.buffer);
  let directory: Directory | undefined;
  let unsubscribe: (() => void) | undefined;
  const recorded = metrics.counter(
    "chihaya_private_announces_total",
    "Announces of users that were handed to the accountant",
  );
  const full = metrics.counter(
    "chihaya_private_busy_total",
    "Announces that were refused because the accountant was behind",
  );

  /** Finds the user of a request. @returns the refusal, or undefined; the user is then in `directory.users` */
  function identify(params: Params): ClientError | undefined {
    if (directory === undefined) return accountingBusy;
    if (!readPasskey(params, passkey) || !directory.users.find(passkeyWords, 0)) return passkeyNotFound;
    return (directory.users.second & UserFlag.enabled) === 0 ? userDisabled : undefined;
  }

  function write(at: number, request: AnnounceRequest, user: number, torrent: number, factors: number): void {
    words[at + Field.seconds] = clock.unixSeconds;
    words[at + Field.user] = user;
    words[at + Field.torrent] = torrent;
    const { family, words: address } = request.address;
    words[at + Field.what] = request.event | (family << 8) | (request.port << 16);
    for (let i = 0; i < 6; i++) words[at + Field.counters + i] = request.counters[i]!;
    for (let i = 0; i < 5; i++) words[at + Field.peerId + i] = request.peerIdWords[i]!;
    for (let i = 0; i < 4; i++) words[at + Field.address + i] = address[i]!;
    words[at + Field.factors] = factors;
  }

  /** The announces that wait for the disk, in the order of their records. */
  const waiting: { position: number; until: number; resolve: (refusal: ClientError | undefined) => void }[] =
    [];

  function untilOnDisk(position: number): Promise<ClientError | undefined> {
    return new Promise((resolve) => {
      waiting.push({ position, until: clock.seconds + longestWait, resolve });
      if (waiting.length === 1) void watch();
    });
  }

  async function watch(): Promise<void> {
    while (waiting.length > 0) {
      const released = ring.untilReleased(lookMs); // before the look, so that no release is missed
      while (waiting.length > 0 && ring.isOnDisk(waiting[0]!.position)) waiting.shift()!.resolve(undefined);
      while (waiting.length > 0 && clock.seconds > waiting[0]!.until) {
        full.inc();
        waiting.shift()!.resolve(accountingBusy);
      }
      if (waiting.length > 0) await released;
    }
  }

  return {
    name: "private",
    start() {
      unsubscribe = shared.subscribe(directoryTopic, (memory) => {
        directory = new Directory(memory as DirectoryMemory);
      });
    },
    stop: () => unsubscribe?.(),
    ready: () => directory !== undefined || "the users and torrents of the site are not loaded yet",
    handleAnnounce(request, _response, context) {
      const refusal = identify(request.params);
      if (refusal !== undefined) return refusal;
      const { users, torrents } = directory!;
      const user = users.first;
      const flags = users.second;
      if (!torrents.find(request.infoHashWords, 0)) return unregisteredTorrent;
      const at = ring.reserve();
      if (at < 0) {
        full.inc();
        return accountingBusy;
      }
      write(at, request, user, torrents.first, torrents.second);
      const position = ring.commit();
      recorded.inc();
      const { event } = request;
      if ((flags & UserFlag.canLeech) === 0 && !request.isSeeder && event !== AnnounceEvent.stopped)
        return leechingForbidden;
      if ((flags & UserFlag.hidden) !== 0) context.skipSwarm = true;
      if (event === AnnounceEvent.stopped || event === AnnounceEvent.completed) return untilOnDisk(position);
      return undefined;
    },
    handleScrape: ({ params }) => identify(params),
  };
}

/** Reads the passkey of a request: a segment of the path, or else the parameter `passkey` of the route or the query. */
function readPasskey(params: Params, out: Uint8Array): boolean {
  if (params.copySegment(out)) return true;
  const text = params.route("passkey") ?? params.get("passkey");
  if (text === undefined || !isPasskey(text)) return false;
  for (let i = 0; i < out.length; i++) out[i] = text.charCodeAt(i);
  return true;
}
