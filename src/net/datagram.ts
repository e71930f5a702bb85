import type { Address, Family } from "../ip/address.ts";

/** Largest datagram that is read; longer ones are cut. A scrape of 74 hashes has 1,496 bytes. */
export const datagramCapacity = 2048;

/**
 * A batch of datagrams and room for their answers, in memory that is laid out once and used again for each
 * batch. Nothing in it is valid after `afterBatch` has returned.
 *
 * Shape: `bytes` holds `capacity` requests of {@link datagramCapacity} bytes, then as many answers:
 *
 *     | in 0 | in 1 | ... | out 0 | out 1 | ... |
 */
export class DatagramBatch {
  readonly capacity: number;
  readonly bytes: Uint8Array;
  /** A view of exactly the bytes in `bytes`. */
  readonly view: DataView;
  /** Bytes of each request. */
  readonly length: Uint16Array;
  /** Bytes of each answer: set by the handler, 0 for silence. */
  readonly outLength: Uint16Array;
  /** Where each request came from: canonical, one object a slot. */
  readonly address: readonly Address[];
  /** The port that each came from; 0 cannot be answered. */
  readonly port: Uint16Array;

  constructor(capacity: number, bytes: Uint8Array, address: readonly Address[]) {
    this.capacity = capacity;
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.length = new Uint16Array(capacity);
    this.outLength = new Uint16Array(capacity);
    this.address = address;
    this.port = new Uint16Array(capacity);
  }

  /** Offset of request `slot`. */
  inAt(slot: number): number {
    return slot * datagramCapacity;
  }

  /** Offset of answer `slot`. */
  outAt(slot: number): number {
    return (this.capacity + slot) * datagramCapacity;
  }
}

/** Bytes of each socket's receive buffer: a tenth of a second of a hundred thousand announces. */
export const defaultReceiveBuffer: number = 8 * 1024 * 1024;

/** What a frontend is to a datagram socket. */
export interface DatagramHandler {
  /**
   * Handles requests 0 to `count` - 1 and sets each one's `outLength`. Must not throw.
   * @param family  family of the socket, which every address in the batch has
   */
  handleBatch(socket: DatagramSocket, batch: DatagramBatch, count: number, family: Family): void;
  /** Called when the answers of the batch have been handed to the kernel. Must not throw. */
  afterBatch(): void;
}

/** Sends `bytes[start..end)`, which is copied; errors are dropped, as the network drops. */
export type SendResponse = (bytes: Uint8Array, start: number, end: number) => void;

/** A bound UDP address, which may be several sockets. */
export interface DatagramSocket {
  /** The port that is bound. */
  readonly port: number;
  /** Bytes of the receive buffer that the system has granted. */
  readonly receiveBuffer: number;
  /**
   * Keeps the way back of request `slot`, for an answer that comes after its batch. Only within `handleBatch`.
   * @returns sends to where the request came from, from the address that it asked; nothing once the socket is closed
   */
  replyPath(slot: number): SendResponse;
  /** Stops reading, and releases the port when what was handed over has left. Idempotent. */
  close(): Promise<void>;
}

export interface DatagramOptions {
  /** IP literal; `0.0.0.0` and `::` are all addresses of that family. */
  host: string;
  /** 0 lets the system choose. */
  port: number;
  /** Bytes of the receive buffer that is asked for, {@link defaultReceiveBuffer} unless given. */
  receiveBuffer?: number | undefined;
  /** Whether other threads bind the same address too, so that the kernel spreads clients over them. */
  shared?: boolean;
  handler: DatagramHandler;
  /** Hears of errors that a socket reports on its own; they never end it. */
  onError: (error: Error) => void;
}
