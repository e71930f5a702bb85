import { Address, type Family } from "../../ip/address.ts";
import {
  DatagramBatch,
  type DatagramHandler,
  type DatagramOptions,
  type DatagramSocket,
  datagramCapacity,
  defaultReceiveBuffer,
  type SendResponse,
} from "../datagram.ts";
import {
  Control,
  controlCapacity,
  Iovec,
  Linux,
  layouts,
  Message,
  nameCapacity,
  portAt,
  readSocketAddress,
  writeControl,
  writeName,
  writePart,
} from "./abi.ts";
import { getOption, type Libc, setOption, systemError } from "./libc.ts";
import type { Liveness } from "./liveness.ts";
import { openSocket } from "./open-socket.ts";
import type { Poller } from "./poller.ts";
import { Steering } from "./steering.ts";

/** Datagrams that one call receives. */
const batchSize = 64;
/** Batches that one socket reads in one turn of the event loop. */
const batchesPerTurn = 8;
/** Bytes of the send buffer to request: a batch of responses must fit. */
const sendBuffer = 4 * 1024 * 1024;

/**
 * Memory for a batch in the layout of `recvmmsg` and `sendmmsg`:
 *
 *     | messages to receive | messages to send | iovecs of both | reply paths: socket address, control buffer |
 *
 * A message to send uses the reply path of the message that was received in the same slot.
 */
class MessageMemory {
  readonly batch: DatagramBatch;
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly receive: Uint8Array;
  /** The messages to send from slot i on. */
  readonly send: readonly Uint8Array[];
  readonly #family: Family;
  readonly #sendAt: number;
  readonly #iovAt: number;
  readonly #replyPathAt: number;
  /**
   * Bytes of a reply path: the source's socket address and, if the kernel reports the destination, its control message.
   */
  readonly #replyPathBytes: number;
  readonly #controlLength: number;

  /** @param control  whether packets carry their destination address */
  constructor(libc: Libc, family: Family, control: boolean, slots: number) {
    this.#family = family;
    this.#sendAt = slots * Message.size;
    this.#iovAt = 2 * this.#sendAt;
    this.#replyPathAt = this.#iovAt + 2 * slots * Iovec.size;
    this.#replyPathBytes = nameCapacity + (control ? controlCapacity : 0);
    this.#controlLength = control ? layouts[family].controlLength : 0;
    this.bytes = new Uint8Array(this.#replyPathAt + slots * this.#replyPathBytes);
    this.view = new DataView(this.bytes.buffer);
    const addresses = Array.from({ length: slots }, () => new Address());
    this.batch = new DatagramBatch(slots, new Uint8Array(2 * slots * datagramCapacity), addresses);
    this.receive = this.bytes.subarray(0, this.#sendAt);
    this.send = addresses.map((_, slot) =>
      this.bytes.subarray(this.#sendAt + slot * Message.size, this.#iovAt),
    );

    const here = libc.address(this.bytes);
    const data = libc.address(this.batch.bytes);
    const { view, batch } = this;
    for (let slot = 0; slot < slots; slot++) {
      const replyPath = here + BigInt(this.#replyPathAt + slot * this.#replyPathBytes);
      for (const isSend of [false, true]) {
        const message = (isSend ? this.#sendAt : 0) + slot * Message.size;
        const iov = this.#iovAt + (isSend ? slots + slot : slot) * Iovec.size;
        const at = data + BigInt(isSend ? batch.outAt(slot) : batch.inAt(slot));
        writePart(view, here, message, iov, at, datagramCapacity);
        writeName(view, message, replyPath, family);
        if (control) writeControl(view, message, replyPath + BigInt(nameCapacity), family);
      }
    }
  }

  /**
   * Reads the kernel's results for `count` messages. A message whose source is `own` and `ownPort` gets port 0, which
   * prevents a response.
   */
  received(count: number, own: Address, ownPort: number): void {
    const { view, batch, bytes } = this;
    for (let slot = 0; slot < count; slot++) {
      const name = this.#replyPathAt + slot * this.#replyPathBytes;
      batch.length[slot] = view.getUint32(slot * Message.size + Message.length, true);
      batch.port[slot] = view.getUint16(name + portAt);
      batch.outLength[slot] = 0;
      const address = batch.address[slot]!;
      readSocketAddress(bytes, name, this.#family, address);
      if (batch.port[slot] === ownPort && address.equals(own)) batch.port[slot] = 0;
    }
  }

  /** Prepares the messages that have a response. */
  respond(count: number): void {
    const { view, batch } = this;
    const lengthAt = this.#iovAt + batch.capacity * Iovec.size + Iovec.length;
    const interfaceAt = this.#replyPathAt + nameCapacity + Control.interface;
    for (let slot = 0; slot < count; slot++) {
      view.setUint32(lengthAt + slot * Iovec.size, batch.outLength[slot]!, true);
      if (this.#controlLength > 0) {
        // The route decides the interface of the response, not the interface of the request.
        if (this.#family === 4) view.setUint32(interfaceAt + slot * this.#replyPathBytes, 0, true);
        view.setUint32(slot * Message.size + Message.controlLength, this.#controlLength, true);
      }
    }
  }

  /** Copies the reply path of a slot. */
  copyReplyPath(slot: number): Uint8Array {
    const at = this.#replyPathAt + slot * this.#replyPathBytes;
    return this.bytes.slice(at, at + this.#replyPathBytes);
  }

  /** Prepares the message of slot 0: `bytes[start..end)`, with a copied reply path. */
  respondLater(bytes: Uint8Array, start: number, end: number, replyPath: Uint8Array): void {
    const { batch } = this;
    this.bytes.set(replyPath, this.#replyPathAt);
    batch.bytes.set(bytes.subarray(start, end), batch.outAt(0));
    batch.outLength[0] = end - start;
    this.respond(1);
  }
}

/**
 * Binds a UDP address through batched system calls. An IPv6 address accepts IPv6 only. Responses leave from the address
 * that the request was sent to, even if all addresses are bound.
 *
 * With `threads`, several sockets of this process and its threads may bind one address, see {@link Steering}. Rejects with an Error that names the address and the remedy.
 */
export function bindDatagram(
  poller: Poller,
  options: DatagramOptions,
  liveness?: Liveness,
): LinuxDatagramSocket {
  const { libc } = poller;
  const { receiveBuffer = defaultReceiveBuffer, threads = 1, handler } = options;
  const prepare = (fd: number, family: Family, address: Address) => {
    const isWildcard = isUnspecified(address);
    if (isWildcard && family === 4) setOption(libc, fd, Linux.SOL_IP, Linux.IP_PKTINFO, 1);
    if (isWildcard && family === 6) setOption(libc, fd, Linux.SOL_IPV6, Linux.IPV6_RECVPKTINFO, 1);
    setOption(libc, fd, Linux.SOL_SOCKET, Linux.SO_RCVBUF, receiveBuffer);
    setOption(libc, fd, Linux.SOL_SOCKET, Linux.SO_SNDBUF, sendBuffer);
  };
  return openSocket(libc, "udp", options, prepare, ({ fd, family, port, address }) => {
    const steering = threads > 1 ? new Steering(libc, fd, threads, liveness) : undefined;
    return new LinuxDatagramSocket(poller, fd, family, port, address, handler, steering);
  });
}

/** Reads the drops of a socket (Linux 4.12 and later). */
function readDrops(libc: Libc, fd: number): number {
  const memory = new Uint32Array(Linux.SK_MEMINFO_VARS);
  const length = new Uint8Array(new Uint32Array([memory.byteLength]).buffer);
  if (libc.getsockopt(fd, Linux.SOL_SOCKET, Linux.SO_MEMINFO, new Uint8Array(memory.buffer), length) < 0)
    throw systemError(libc, "getsockopt");
  return memory[Linux.SK_MEMINFO_DROPS]!;
}

/** Returns whether an address means all addresses of the machine. */
function isUnspecified(address: Address): boolean {
  return address.words.every((word) => word === 0);
}

/** One socket with batched reads and responses. */
export class LinuxDatagramSocket implements DatagramSocket {
  readonly port: number;
  readonly receiveBuffer: number;
  readonly #poller: Poller;
  readonly #libc: Libc;
  readonly #fd: number;
  readonly #family: Family;
  readonly #own: Address;
  readonly #memory: MessageMemory;
  readonly #handler: DatagramHandler;
  readonly #steering: Steering | undefined;
  /** Memory for one response after its batch. */
  readonly #late: MessageMemory;
  #isClosed = false;
  #drops = 0;

  constructor(
    poller: Poller,
    fd: number,
    family: Family,
    port: number,
    own: Address,
    handler: DatagramHandler,
    steering: Steering | undefined,
  ) {
    this.#steering = steering;
    this.port = port;
    this.#own = own;
    this.#poller = poller;
    this.#libc = poller.libc;
    this.#fd = fd;
    this.#family = family;
    // Linux reports twice the size that it grants, because it counts its own bookkeeping.
    this.receiveBuffer = getOption(this.#libc, fd, Linux.SOL_SOCKET, Linux.SO_RCVBUF) / 2;
    this.#memory = new MessageMemory(this.#libc, family, isUnspecified(own), batchSize);
    this.#late = new MessageMemory(this.#libc, family, isUnspecified(own), 1);
    this.#handler = handler;
    poller.add(fd, Linux.EPOLLIN, { ready: () => this.#read() });
  }

  countDrops(): number {
    if (!this.#isClosed) this.#drops = readDrops(this.#libc, this.#fd);
    return this.#drops;
  }

  replyPath(slot: number): SendResponse {
    if (this.#memory.batch.port[slot] === 0) return () => {};
    const replyPath = this.#memory.copyReplyPath(slot);
    return (bytes, start, end) => {
      if (this.#isClosed) return;
      this.#late.respondLater(bytes, start, end, replyPath);
      this.#libc.sendmmsg(this.#fd, this.#late.send[0]!, 1, Linux.MSG_DONTWAIT);
    };
  }

  close(): Promise<void> {
    if (!this.#isClosed) {
      this.#isClosed = true;
      this.#steering?.close();
      this.#poller.remove(this.#fd);
      this.#libc.close(this.#fd);
    }
    return Promise.resolve();
  }

  /** Handles waiting datagrams, batch by batch; leaves the rest to the next turn after a few batches. @returns how many datagrams */
  #read(): number {
    this.#steering?.consider(this.#poller.lookedAt);
    const { batch, receive } = this.#memory;
    let total = 0;
    for (let i = 0; i < batchesPerTurn && !this.#isClosed; i++) {
      const count = this.#libc.recvmmsg(this.#fd, receive, batchSize, Linux.MSG_DONTWAIT, null);
      if (count <= 0) break;
      total += count;
      this.#memory.received(count, this.#own, this.port);
      this.#handler.handleBatch(this, batch, count, this.#family);
      this.#memory.respond(count);
      this.#sendResponses(count);
      this.#handler.afterBatch();
      if (count < batchSize) break;
    }
    return total;
  }

  /**
   * Sends each run of responses by one call. Ignores responses that the kernel refuses: the network may drop them too.
   */
  #sendResponses(count: number): void {
    const { outLength } = this.#memory.batch;
    let slot = 0;
    while (slot < count) {
      if (outLength[slot] === 0) {
        slot++;
        continue;
      }
      let end = slot + 1;
      while (end < count && outLength[end] !== 0) end++;
      while (slot < end) {
        const sent = this.#libc.sendmmsg(this.#fd, this.#memory.send[slot]!, end - slot, Linux.MSG_DONTWAIT);
        slot += sent > 0 ? sent : 1; // the first response of the rest cannot be sent
      }
    }
  }
}
