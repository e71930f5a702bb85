import type { AnnounceRequest, AnnounceResponse } from "../bittorrent/announce.ts";
import type { ClientError } from "../bittorrent/client-error.ts";
import { AnnounceEvent } from "../bittorrent/event.ts";
import type { Params } from "../bittorrent/params.ts";
import type { Address } from "../ip/address.ts";
import type { Clock } from "../lib/clock.ts";
import { Buckets, bucketBytes } from "../middleware/buckets.ts";
import type { Hook, RequestContext } from "../middleware/hook.ts";
import type { SharedState } from "../middleware/shared-state.ts";
import type { Metrics } from "../observability/metrics.ts";
import { Directory, type DirectoryMemory, Torrent, User, UserFlag } from "./directory.ts";
import { passkeyLength } from "./directory-records.ts";
import { DownloadSlots, downloadSlotBytes } from "./download-slots.ts";
import { accountingBusy, type Refusals, tooManyPasskeys } from "./errors.ts";
import type { PrivateOptions } from "./options.ts";
import { isPasskey } from "./passkey.ts";
import { Recent, recentBytes } from "./recent.ts";
import { Field, Mark } from "./record.ts";
import { Ring } from "./ring.ts";
import type { WorkerAccounting } from "./thread-memory.ts";

/** The scope of the hook's shared state, which no other hook can have. */
export const privateScope = ":private";
/** The topic of that scope under which the accountant publishes the {@link DirectoryMemory}. */
export const directoryTopic = "directory";

/** The collaborators of the hook. */
export interface PrivateHookDeps {
  options: Pick<PrivateOptions, "announceMin" | "peersTimeout">;
  refusals: Refusals;
  clock: Clock;
  metrics: Metrics;
  shared: Pick<SharedState, "buffer" | "subscribe">;
}

/** Seconds that the end of a run waits for its record to be on disk. */
const longestWait = 10;
/** Milliseconds after which announces that wait compare their deadline with the clock. */
const lookMs = 1000;
/** Unknown passkeys that an address may try, at once and per second, and how often it may try one of them again. */
const guesses = { burst: 50, rate: 0.2, addresses: 65_536 } as const;
const repeats = { burst: 500, rate: 5, addresses: 65_536 } as const;
/** Seconds for which an unknown passkey is remembered. */
const triedFor = 3600;
/** Seconds for which a user is known at an address. */
const knownFor = 7 * 86_400;
/** Words of keys, and entries, of what is remembered. */
const known = { words: 4, entries: 2 ** 17 } as const;
const tried = { words: 11, entries: 2 ** 16 } as const;
const announced = { words: 8, entries: 2 ** 20 } as const;

/**
 * Creates the prehook `private`, the last one: an announce needs the passkey of a user and a torrent of the site. Each accepted
 * announce becomes a record for the accountant. An announce with `stopped` or `completed` waits until its record is on disk,
 * because no later announce repeats its counters. Any other announce waits for nothing and allocates nothing.
 */
export async function createPrivateHook(
  memory: WorkerAccounting,
  { options, refusals, clock, metrics, shared }: PrivateHookDeps,
): Promise<Hook> {
  const { announceMin, peersTimeout } = options;
  const ring = new Ring(memory);
  const { words } = ring.records;
  const passkey = new Uint8Array(passkeyLength);
  const passkeyWords = new Int32Array(passkey.buffer);
  const unknownPasskeys = new Buckets(
    await shared.buffer("guesses", bucketBytes(guesses.addresses)),
    guesses.rate,
    guesses.burst,
  );
  /** Until when an address may be locked out, so that other announces need not look. */
  const lockedUntil = new Int32Array(await shared.buffer("locked", 4));
  const repeatedPasskeys = new Buckets(
    await shared.buffer("repeats", bucketBytes(repeats.addresses)),
    repeats.rate,
    repeats.burst,
  );
  const triedAt = new Recent(
    tried.words,
    await shared.buffer("tried", recentBytes(tried.words, tried.entries)),
  );
  const usersAt = new Recent(
    known.words,
    await shared.buffer("known", recentBytes(known.words, known.entries)),
  );
  const lastAnnounces = new Recent(
    announced.words,
    await shared.buffer("announced", recentBytes(announced.words, announced.entries)),
  );
  const downloads = new DownloadSlots(await shared.buffer("downloads", downloadSlotBytes));
  const userAt = new Int32Array(known.words);
  const passkeyAt = new Int32Array(tried.words);
  const peer = new Int32Array(announced.words);
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

  /**
   * Finds the user of a request. An address that has tried too many unknown passkeys is refused, except for users who have
   * announced from this address before. @returns the refusal, or undefined; the user is then in `directory.users`
   */
  function identify(params: Params, address: Address): ClientError | undefined {
    if (directory === undefined) return accountingBusy;
    const { users } = directory;
    if (!readPasskey(params, passkey)) return refusals.passkeyNotFound;
    if (!users.find(passkeyWords, 0)) return mayTry(address) ? refusals.passkeyNotFound : tooManyPasskeys;
    if (clock.seconds < lockedUntil[0]! && isLockedOut(address)) return tooManyPasskeys;
    return (users.values[User.flags]! & UserFlag.enabled) === 0 ? refusals.userDisabled : undefined;
  }

  /** Whether the address has tried too many passkeys, and the user has not announced from it before. */
  function isLockedOut(address: Address): boolean {
    const { seconds } = clock;
    if (unknownPasskeys.has(address, seconds)) return false;
    setUserAt(address);
    return usersAt.age(userAt, seconds) > knownFor;
  }

  /** Notes now and then where a user announces from: at the ends of runs, and in one second of eight. */
  function noteUser({ event, address }: AnnounceRequest): void {
    const { seconds } = clock;
    if (event === AnnounceEvent.none && (seconds & 7) !== 0) return;
    setUserAt(address);
    usersAt.note(userAt, seconds);
  }

  /** Sets {@link userAt} to the user in `directory.users` at an address. */
  function setUserAt({ family, words }: Address): void {
    userAt[0] = directory!.users.values[User.id]!;
    userAt[1] = family;
    userAt[2] = words[0]!;
    userAt[3] = words[1]!;
  }

  /**
   * Counts a try of an unknown passkey. A client that has an old passkey for many torrents tries one passkey only, which tells it
   * nothing new, so it may do so more often. @returns whether the address may try it
   */
  function mayTry(address: Address): boolean {
    const { seconds } = clock;
    passkeyAt.set(passkeyWords);
    passkeyAt[8] = address.family;
    passkeyAt[9] = address.words[0]!;
    passkeyAt[10] = address.words[1]!;
    if (triedAt.age(passkeyAt, seconds) <= triedFor) return repeatedPasskeys.take(address, seconds);
    triedAt.note(passkeyAt, seconds);
    if (unknownPasskeys.take(address, seconds)) return true;
    lockedUntil[0] = seconds + guesses.burst / guesses.rate;
    return false;
  }

  /** Whether the peer has announced less than `announce_min` ago; if not, the announce counts as its last one. */
  function isTooEarly(
    { event, peerIdWords, address }: AnnounceRequest,
    user: number,
    torrent: number,
  ): boolean {
    peer[0] = user;
    peer[1] = torrent;
    peer[2] = address.family; // a client with two addresses announces twice, and gets peers each time
    for (let i = 0; i < 5; i++) peer[3 + i] = peerIdWords[i]!;
    if (event === AnnounceEvent.stopped) {
      lastAnnounces.forget(peer);
      return false;
    }
    const pause = event === AnnounceEvent.completed ? Number.NEGATIVE_INFINITY : announceMin;
    return !lastAnnounces.noteAfter(peer, clock.seconds, pause);
  }

  /** Whether the user may download the torrent now, beside the user's other downloads. */
  function hasSlot(request: AnnounceRequest, user: number, torrent: number, limit: number): boolean {
    if (request.isSeeder || request.event === AnnounceEvent.stopped) {
      downloads.release(user, torrent);
      return true;
    }
    const { seconds } = clock;
    return downloads.take(user, torrent, limit, seconds, seconds + peersTimeout);
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
    words[at + Field.marks] = directory!.isToken ? Mark.token : 0;
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

  /** Records an announce of the user and the torrent that the directory has found, and applies the rules for its response. */
  function accept(
    request: AnnounceRequest,
    response: AnnounceResponse,
    context: RequestContext,
  ): ClientError | undefined | Promise<ClientError | undefined> {
    const { users, torrents } = directory!;
    const user = users.values[User.id]!;
    const flags = users.values[User.flags]!;
    const group = users.values[User.group]!;
    const torrent = torrents.values[Torrent.id]!;
    const at = ring.reserve();
    if (at < 0) {
      full.inc();
      return accountingBusy;
    }
    write(at, request, user, torrent, directory!.factors(clock.unixSeconds));
    const position = ring.commit();
    recorded.inc();
    const { event } = request;
    if ((flags & UserFlag.canLeech) === 0 && !request.isSeeder && event !== AnnounceEvent.stopped)
      return refusals.leechingForbidden;
    request.tag = user;
    context.leaveSwarm = (flags & UserFlag.hidden) !== 0;
    const limit = directory!.slotsOf(group);
    if (limit !== Number.POSITIVE_INFINITY && !hasSlot(request, user, torrent, limit)) {
      context.leaveSwarm = true;
      request.numWant = 0;
      response.warning = refusals.slotsTaken;
    }
    if (announceMin > 0) {
      response.minInterval = Math.max(response.minInterval, announceMin);
      response.interval = Math.max(response.interval, announceMin);
      if (isTooEarly(request, user, torrent)) request.numWant = 0;
    }
    if (event === AnnounceEvent.stopped || event === AnnounceEvent.completed) return untilOnDisk(position);
    return undefined;
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
    handleAnnounce(request, response, context) {
      const refusal = identify(request.params, request.address);
      if (refusal !== undefined) return refusal;
      noteUser(request);
      if (!directory!.allowsClient(request.peerId)) return refusals.clientNotAllowed;
      const { torrents } = directory!;
      if (!torrents.find(request.infoHashWords, 0)) return refusals.unregisteredTorrent;
      const reason = torrents.values[Torrent.refusal]!;
      if (reason !== 0) return refusals.torrents[reason - 1] ?? refusals.unregisteredTorrent;
      return accept(request, response, context);
    },
    handleScrape: ({ params, address }) => identify(params, address),
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
