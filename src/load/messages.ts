import type { Family } from "../ip/address.ts";
import {
  Control,
  controlCapacity,
  Iovec,
  Linux,
  layouts,
  Message,
  nameCapacity,
  writeControl,
  writeName,
  writePart,
} from "../net/linux/abi.ts";
import type { Libc } from "../net/linux/libc.ts";

/**
 * Messages for `sendmmsg` or `recvmmsg`. Their memory has this layout, written once:
 *
 *     | messages | iovecs | control messages | the socket address of the destination |
 *
 * The data of the messages is in `bytes`, `slotBytes` for each message.
 */
export class Messages {
  readonly count: number;
  readonly slotBytes: number;
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** The array of `struct mmsghdr`, followed by the structures that it points to. */
  readonly headers: Uint8Array;
  readonly #view: DataView;
  /** Memory address of `headers`. */
  readonly #here: bigint;
  readonly #iovAt: number;
  readonly #controlAt: number;
  readonly #nameAt: number;

  constructor(libc: Libc, count: number, slotBytes: number) {
    this.count = count;
    this.slotBytes = slotBytes;
    this.bytes = new Uint8Array(count * slotBytes);
    this.view = new DataView(this.bytes.buffer);
    this.#iovAt = count * Message.size;
    this.#controlAt = this.#iovAt + count * Iovec.size;
    this.#nameAt = this.#controlAt + count * controlCapacity;
    this.headers = new Uint8Array(this.#nameAt + nameCapacity);
    this.#view = new DataView(this.headers.buffer);
    this.#here = libc.address(this.headers);
    const data = libc.address(this.bytes);
    for (let slot = 0; slot < count; slot++) {
      const iov = this.#iovAt + slot * Iovec.size;
      const at = data + BigInt(slot * slotBytes);
      writePart(this.#view, this.#here, slot * Message.size, iov, at, slotBytes);
    }
  }

  /** Sets the destination of all messages. @param name  a socket address of `family`, which is copied */
  setDestination(name: Uint8Array, family: Family): void {
    this.headers.set(name, this.#nameAt);
    const address = this.#here + BigInt(this.#nameAt);
    for (let slot = 0; slot < this.count; slot++) writeName(this.#view, slot * Message.size, address, family);
  }

  /** Sets the source of one message: an IPv4 address of this machine. */
  setSource(slot: number, address: number): void {
    const at = this.#controlAt + slot * controlCapacity;
    const view = this.#view;
    if (view.getUint32(at + Control.length, true) === 0) {
      // The length of the control message itself excludes its padding.
      view.setUint32(at + Control.length, layouts[4].controlLength - 4, true);
      view.setInt32(at + Control.level, Linux.SOL_IP, true);
      view.setInt32(at + Control.type, Linux.IP_PKTINFO, true);
      writeControl(view, slot * Message.size, this.#here + BigInt(at), 4);
    }
    view.setUint32(at + Control.source, address);
  }

  /** Sets the number of bytes of a slot to send, or the maximum to receive. */
  setLength(slot: number, length: number): void {
    this.#view.setUint32(this.#iovAt + slot * Iovec.size + Iovec.length, length, true);
  }

  /** Returns the number of bytes received in a slot. */
  length(slot: number): number {
    return this.#view.getUint32(slot * Message.size + Message.length, true);
  }
}
