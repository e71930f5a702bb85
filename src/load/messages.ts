import type { Family } from "../ip/address.ts";
import { type Libc, Linux } from "../net/linux/libc.ts";
import { socketAddressCapacity, socketAddressLength } from "../net/linux/socket-address.ts";

/** `struct mmsghdr` on 64-bit Linux: where its fields are. */
const messageBytes = 64;
const Message = { name: 0, nameLength: 8, iov: 16, iovCount: 24, control: 32, controlLength: 40, length: 56 };
const iovBytes = 16;
/** A control message with `in_pktinfo`: head 16, interface 4, source 4, destination 4, padding 4. */
const controlBytes = 32;
const controlSourceAt = 20;

/**
 * Messages for `sendmmsg` or `recvmmsg`, laid out once: their data is in `bytes`, `slotBytes` for each.
 */
export class Messages {
  readonly count: number;
  readonly slotBytes: number;
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** The array of `struct mmsghdr`. */
  readonly headers: Uint8Array;
  readonly #headersView: DataView;
  readonly #iov: Uint8Array;
  readonly #iovView: DataView;
  readonly #control: Uint8Array;
  readonly #controlView: DataView;
  readonly #name: Uint8Array = new Uint8Array(socketAddressCapacity);
  readonly #libc: Libc;

  constructor(libc: Libc, count: number, slotBytes: number) {
    this.#libc = libc;
    this.count = count;
    this.slotBytes = slotBytes;
    this.bytes = new Uint8Array(count * slotBytes);
    this.view = new DataView(this.bytes.buffer);
    this.headers = new Uint8Array(count * messageBytes);
    this.#headersView = new DataView(this.headers.buffer);
    this.#iov = new Uint8Array(count * iovBytes);
    this.#iovView = new DataView(this.#iov.buffer);
    this.#control = new Uint8Array(count * controlBytes);
    this.#controlView = new DataView(this.#control.buffer);
    const data = libc.address(this.bytes);
    const iovs = libc.address(this.#iov);
    for (let slot = 0; slot < count; slot++) {
      const message = slot * messageBytes;
      this.#headersView.setBigUint64(message + Message.iov, iovs + BigInt(slot * iovBytes), true);
      this.#headersView.setBigUint64(message + Message.iovCount, 1n, true);
      this.#iovView.setBigUint64(slot * iovBytes, data + BigInt(slot * slotBytes), true);
      this.setLength(slot, slotBytes);
    }
  }

  /** Sends all messages to a socket address of `family`, which is copied. */
  setDestination(name: Uint8Array, family: Family): void {
    this.#name.set(name);
    const address = this.#libc.address(this.#name);
    for (let slot = 0; slot < this.count; slot++) {
      this.#headersView.setBigUint64(slot * messageBytes + Message.name, address, true);
      this.#headersView.setUint32(
        slot * messageBytes + Message.nameLength,
        socketAddressLength[family],
        true,
      );
    }
  }

  /** Sends one message from an IPv4 address of this machine. */
  setSource(slot: number, address: number): void {
    const at = slot * controlBytes;
    const view = this.#controlView;
    if (view.getUint32(at, true) === 0) {
      view.setUint32(at, controlBytes - 4, true);
      view.setInt32(at + 8, Linux.SOL_IP, true);
      view.setInt32(at + 12, Linux.IP_PKTINFO, true);
      const control = this.#libc.address(this.#control) + BigInt(at);
      this.#headersView.setBigUint64(slot * messageBytes + Message.control, control, true);
      this.#headersView.setUint32(slot * messageBytes + Message.controlLength, controlBytes, true);
    }
    view.setUint32(at + controlSourceAt, address);
  }

  /** Sets how many bytes of a slot are sent, or may be received. */
  setLength(slot: number, length: number): void {
    this.#iovView.setUint32(slot * iovBytes + 8, length, true);
  }

  /** How many bytes were received into a slot. */
  length(slot: number): number {
    return this.#headersView.getUint32(slot * messageBytes + Message.length, true);
  }
}
