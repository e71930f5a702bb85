import type { Address } from "../../ip/address.ts";
import { absorbBlock, finishSipHash, littleEndian, sipStateLength, startSipHash } from "./siphash.ts";

/** Seconds of one time slot. */
const slotSeconds = 40;
/** An id is accepted in the slot that it was made in and in the 15 that follow. */
const lifetimeSlots = 16;
/** Slots that five bits tell apart: those of the past and just as many of the future. */
const slotCount = 32;

/**
 * Makes and checks connection ids (BEP 15) without remembering any.
 *
 * Shape: 8 bytes, big-endian. The upper 59 bits are those of SipHash-2-4(key, slot | ip), where `slot` is the
 * number of 40-second slots since 1970 (8 bytes, little-endian) and `ip` the 4 or 16 bytes of the address;
 * the lower 5 bits are `slot` modulo 32, so that one hash is enough for a check. Never 0, which
 * rTorrent and Transmission take for "not connected".
 *
 * An id is valid for at least 600 seconds and less than 640: µTorrent uses one for five minutes, and BEP 15 asks for two.
 * It is bound to the address but not to the port:
 * libtorrent keeps one id for all its sockets, rTorrent and webtorrent announce from a fresh port each time.
 *
 * Threat: somebody who cannot receive at an address must not be able to announce it or have answers sent there.
 * Such a forger has to guess 59 bits within ten minutes and never learns whether a guess was right: at a
 * million datagrams a second one in about 18,000 years gets through. Whoever can read the traffic of
 * an address can act for it, as with every cookie. Trackers that share the key accept each other's ids.
 *
 * Checking and writing allocate nothing and cost one SipHash block for IPv4, three for IPv6: the states after the
 * slot's block are kept.
 */
export class ConnectionIds {
  /** Seconds from now by which a slot of the future that is accepted has begun. */
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
   * Changes how far from the future an id may be: seconds, at most 128. All ids of a slot are accepted from that long
   * before the slot begins.
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

  /** Tells whether the 8 bytes at `at` are an id that was made for `address` and is still valid. */
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
