import type { Address } from "../../ip/address.ts";
import { absorbBlock, finishSipHash, littleEndian, sipStateLength, startSipHash } from "./siphash.ts";

/** Seconds of one time slot. */
const slotSeconds = 40;
/** An id is valid in its own slot and in the following 15 slots. */
const lifetimeSlots = 16;
/** Slots that five bits can tell apart: half of them past, half future. */
const slotCount = 32;

/**
 * Makes and checks connection ids (BEP 15) without storing any.
 *
 * Shape: 8 bytes, big-endian. The upper 59 bits come from SipHash-2-4(key, slot | ip), where `slot` is the number of
 * 40-second slots since 1970 (8 bytes, little-endian) and `ip` the 4 or 16 bytes of the address. The lower 5 bits are
 * `slot` modulo 32, so that one hash is enough for a check. Never 0, which means "not connected" to rTorrent and
 * Transmission.
 *
 * An id is valid for at least 600 seconds and less than 640: µTorrent uses an id for five minutes, and BEP 15 asks for
 * two. An id is bound to the address but not to the port: libtorrent keeps one id for all its sockets, and rTorrent and
 * webtorrent announce from a fresh port each time.
 *
 * Threat: an attacker who cannot receive at an address must not be able to announce that address or direct responses to
 * it. The attacker has to guess 59 bits within ten minutes and never learns whether a guess was right: a million
 * datagrams a second succeed once in about 18,000 years. An attacker who can read the traffic of an address can act for
 * that address, as with every cookie. Trackers with the same key accept each other's ids.
 *
 * Checking and writing allocate nothing. They cost one SipHash block for IPv4 and three for IPv6, because the state
 * after the slot's block is cached.
 */
export class ConnectionIds {
  /** How many seconds from now a future slot may begin. */
  #maxClockSkew = 0;
  readonly #start: Int32Array = new Int32Array(sipStateLength);
  /** The state after the block of each slot in `#slots`. */
  readonly #prefixes: Int32Array = new Int32Array(slotCount * sipStateLength);
  readonly #slots: Float64Array = new Float64Array(slotCount).fill(Number.NaN);
  readonly #state: Int32Array = new Int32Array(sipStateLength);

  /**
   * @param key           16 secret bytes
   * @param maxClockSkew  see {@link setMaxClockSkew}
   */
  constructor(key: Uint8Array, maxClockSkew: number) {
    startSipHash(this.#start, key);
    this.setMaxClockSkew(maxClockSkew);
  }

  /**
   * Changes how far in the future an id may be: seconds, at most 128. All ids of a slot are valid from that many
   * seconds before the slot begins.
   */
  setMaxClockSkew(seconds: number): void {
    this.#maxClockSkew = seconds;
  }

  /** Writes the id for `address` at `at`: 8 bytes. */
  write(view: DataView, at: number, address: Address, unixSeconds: number): void {
    this.#compute(Math.floor(unixSeconds / slotSeconds), address);
    view.setInt32(at, this.#state[1]!);
    view.setInt32(at + 4, this.#state[0]!);
  }

  /** Returns whether the 8 bytes at `at` are a valid id for `address`. */
  isValid(view: DataView, at: number, address: Address, unixSeconds: number): boolean {
    const low = view.getInt32(at + 4);
    const now = Math.floor(unixSeconds / slotSeconds);
    const age = (now - low) & (slotCount - 1);
    let slot = now - age;
    if (age >= lifetimeSlots) {
      slot += slotCount;
      if (slot * slotSeconds - unixSeconds > this.#maxClockSkew) return false;
    }
    this.#compute(slot, address);
    return ((low ^ this.#state[0]!) | (view.getInt32(at) ^ this.#state[1]!)) === 0;
  }

  /** Leaves the id in the first two words of `#state`, the low half first. */
  #compute(slot: number, address: Address): void {
    const state = this.#state;
    const prefixes = this.#prefixes;
    const index = slot & (slotCount - 1);
    const at = index * sipStateLength;
    if (this.#slots[index] !== slot) {
      state.set(this.#start);
      absorbBlock(state, slot | 0, Math.floor(slot / 2 ** 32) | 0);
      prefixes.set(state, at);
      this.#slots[index] = slot;
    } else {
      for (let i = 0; i < sipStateLength; i++) state[i] = prefixes[at + i]!;
    }
    const { bytes } = address;
    if (address.family === 4) {
      absorbBlock(state, littleEndian(bytes, 0), 12 << 24);
    } else {
      absorbBlock(state, littleEndian(bytes, 0), littleEndian(bytes, 4));
      absorbBlock(state, littleEndian(bytes, 8), littleEndian(bytes, 12));
      absorbBlock(state, 0, 24 << 24);
    }
    finishSipHash(state);
    state[0] = (state[0]! & -slotCount) | index;
    if (state[0] === 0 && state[1] === 0) state[1] = 1;
  }
}
