import type { Address, Family } from "../ip/address.ts";

/** The size limit of a received datagram; longer ones are cut. A scrape of 74 hashes has 1,496 bytes. */
export const datagramCapacity = 2048;

/**
 * A batch of datagrams and room for their responses. The memory is laid out once and reused for each batch: nothing in
 * it is valid after `afterBatch` has returned.
 *
 * Shape: `bytes` holds `capacity` requests of {@link datagramCapacity} bytes, then as many responses:
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
  /** Bytes of each response, set by the handler; 0 drops the request. */
  readonly outLength: Uint16Array;
  /** The source address of each request: canonical, one object per slot. */
  readonly address: readonly Address[];
  /** The source port of each request. The handler cannot respond to port 0. */
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

  /** Offset of response `slot`. */
  outAt(slot: number): number {
    return (this.capacity + slot) * datagramCapacity;
  }
}

/** Bytes of each socket's receive buffer: room for a tenth of a second at 100,000 announces a second. */
export const defaultReceiveBuffer: number = 8 * 1024 * 1024;

/** The side of a datagram socket that a frontend implements. */
export interface DatagramHandler {
  /**
   * Handles requests 0 to `count` - 1 and sets each one's `outLength`. Must not throw.
   * @param family  family of the socket, which every address in the batch has
   */
  handleBatch(socket: DatagramSocket, batch: DatagramBatch, count: number, family: Family): void;
  /** Called after the responses of the batch have been handed to the kernel. Must not throw. */
  afterBatch(): void;
}

/** Sends a copy of `bytes[start..end)`. Ignores errors: the network may drop datagrams too. */
export type SendResponse = (bytes: Uint8Array, start: number, end: number) => void;

/** A bound UDP address, which may consist of several sockets. */
export interface DatagramSocket {
  /** The port that is bound. */
  readonly port: number;
  /** Bytes of the receive buffer that the system has granted. */
  readonly receiveBuffer: number;
  /**
   * Returns the number of datagrams that the kernel has dropped before they could be read, nearly always because the receive
   * buffer was full.
   * @throws Error if that is unknown
   */
  countDrops(): number;
  /**
   * Returns a function that sends a response to the sender of request `slot` after its batch, from the address that the
   * request was sent to. Call this only within `handleBatch`. The function does nothing once the socket is closed.
   */
  replyPath(slot: number): SendResponse;
  /** Stops reading, and releases the port after pending responses have left. Idempotent. */
  close(): Promise<void>;
}

export interface DatagramOptions {
  /** IP literal; `0.0.0.0` and `::` mean all addresses of that family. */
  host: string;
  /** 0 lets the system choose. */
  port: number;
  /** Bytes of the receive buffer to request; {@link defaultReceiveBuffer} by default. */
  receiveBuffer?: number | undefined;
  /** How many threads bind the address, each a socket of its own; default 1. Together they receive all datagrams. */
  threads?: number;
  handler: DatagramHandler;
  /** Called for errors that a socket reports by itself; these errors never close the socket. */
  onError: (error: Error) => void;
}
