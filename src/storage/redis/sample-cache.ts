import type { AnnounceRequest, AnnounceResponse } from "../../bittorrent/announce.ts";
import { peerIdLength } from "../../bittorrent/info-hash.ts";
import { compactLength, type PeerList } from "../../bittorrent/peer-list.ts";
import type { Clock, Random } from "../../lib/clock.ts";

/** Peers of one sample; swarms smaller than two samples are not sampled. */
export const sampleSize = 200;
/** Maximum number of samples; beyond, all are dropped. */
const maxSamples = 10_000;

/** Peers that Redis listed for one announcer, reused for others of the same role and family. */
export class Sample {
  /** Seconds of the clock at which the sample expires. */
  readonly until: number;
  /** Set while an announce fetches the peers. */
  isAsked = false;
  count = 0;
  #preferred = 0;
  #endpoints: Uint8Array = new Uint8Array();
  #peerIds: Uint8Array = new Uint8Array();

  constructor(until: number) {
    this.until = until;
  }

  /** Copies the list of Redis; the first `preferred` peers precede the others. */
  take(endpoints: Uint8Array, peerIds: Uint8Array, count: number, preferred: number): void {
    this.#endpoints = endpoints.slice();
    this.#peerIds = peerIds.slice();
    this.#preferred = Math.min(count, preferred);
    this.count = count;
  }

  /** Fills the announcer's list from a random start, without the announcer. */
  give(request: AnnounceRequest, list: PeerList, random: Random): void {
    const want = Math.min(request.numWant, list.limit);
    list.count = 0;
    this.#giveRange(0, this.#preferred, want, request, list, random);
    list.seeders = list.count;
    this.#giveRange(this.#preferred, this.count, want, request, list, random);
    if (list.peerIds !== undefined && this.#peerIds.length > 0) list.hasPeerIds = true;
  }

  #giveRange(
    from: number,
    to: number,
    want: number,
    request: AnnounceRequest,
    list: PeerList,
    random: Random,
  ): void {
    const length = compactLength[list.family];
    const count = to - from;
    if (count === 0) return;
    const start = random.next() % count;
    for (let n = 0; n < count && list.count < want; n++) {
      const index = from + ((start + n) % count);
      if (this.#isAt(index * length, length, request)) continue;
      list.bytes.set(
        this.#endpoints.subarray(index * length, (index + 1) * length),
        list.at + list.count * length,
      );
      list.peerIds?.set(
        this.#peerIds.subarray(index * peerIdLength, (index + 1) * peerIdLength),
        list.count * peerIdLength,
      );
      list.count++;
    }
  }

  #isAt(at: number, length: number, request: AnnounceRequest): boolean {
    const { bytes } = request.address;
    for (let i = 0; i < length - 2; i++) if (this.#endpoints[at + i] !== bytes[i]) return false;
    return ((this.#endpoints[at + length - 2]! << 8) | this.#endpoints[at + length - 1]!) === request.port;
  }
}

/** Short-lived samples of big swarms. */
export class SampleCache {
  readonly random: Random;
  readonly #lifetime: number;
  readonly #clock: Clock;
  readonly #samples = new Map<string, Sample>();
  /** Announces that got peers from a sample. */
  hits = 0;

  /** @param lifetime seconds */
  constructor(lifetime: number, clock: Clock, random: Random) {
    this.#lifetime = lifetime;
    this.#clock = clock;
    this.random = random;
  }

  /**
   * Returns a sample for an announce to use, or to fill if no announce does yet; undefined if the announce needs no
   * sample.
   */
  find(request: AnnounceRequest, { peers4, peers6 }: AnnounceResponse): Sample | undefined {
    const [own, other] = request.address.family === 4 ? [peers4, peers6] : [peers6, peers4];
    if (request.numWant === 0 || 2 * Math.min(request.numWant, own.limit) > sampleSize) return undefined;
    if (request.numWant > own.limit && other.limit > 0) return undefined;
    const sample = this.#samples.get(nameOf(request));
    if (sample === undefined || sample.until <= this.#clock.seconds) return undefined;
    if (sample.isAsked && sample.count === 0) return undefined;
    if (sample.count > 0) this.hits++;
    return sample;
  }

  /**
   * Takes the number of candidates for an announcer of this kind. With many, the next announce fills a sample; with
   * few, the sample is dropped.
   */
  note(request: AnnounceRequest, candidates: number): void {
    const name = nameOf(request);
    if (candidates <= 2 * sampleSize) {
      this.#samples.delete(name);
      return;
    }
    const now = this.#clock.seconds;
    if ((this.#samples.get(name)?.until ?? 0) > now) return;
    if (this.#samples.size >= maxSamples) this.#samples.clear();
    this.#samples.set(name, new Sample(now + this.#lifetime));
  }
}

function nameOf({ infoHash, address, isSeeder }: AnnounceRequest): string {
  const { buffer, byteOffset, length } = infoHash;
  return `${address.family}${isSeeder ? "s" : "l"}${Buffer.from(buffer, byteOffset, length).toString("latin1")}`;
}
