import { createSocket, type Socket } from "node:dgram";
import { networkInterfaces } from "node:os";
import { setImmediate as nextTurn } from "node:timers/promises";
import { Address, type Family, parseAddressText } from "../../ip/address.ts";
import { bindError } from "../bind-error.ts";
import {
  DatagramBatch,
  type DatagramHandler,
  type DatagramOptions,
  type DatagramSocket,
  datagramCapacity,
  defaultReceiveBuffer,
  type SendResponse,
} from "../datagram.ts";

/** Responses of a socket that may wait for the kernel; further ones are dropped. */
const sendQueue = 32;

/**
 * Binds a UDP address through node:dgram, one datagram per batch. An IPv6 address accepts IPv6 only, so `0.0.0.0` and
 * `::` can both bind one port.
 *
 * Responses leave from the address that the request was sent to. Node cannot choose the source of a datagram, so
 * `0.0.0.0` and `::` bind one socket for each address of this machine, and one for the rest: addresses that appear
 * later, and on Linux those of 127.0.0.0/8 except 127.0.0.1. Responses of that last socket leave from the address that
 * the kernel prefers.
 *
 * Rejects with an Error that names the address and the remedy.
 */
export async function bindDatagram(options: DatagramOptions): Promise<DatagramSocket> {
  const { host, onError, threads = 1 } = options;
  const family: Family = host.includes(":") ? 6 : 4;
  const isWildcard = Address.parse(host).words.every((word) => word === 0);
  let { port } = options;
  const sharing = threads > 1 ? "threads" : isWildcard ? "addresses" : "alone";
  let first: Socket;
  try {
    if (isWildcard && threads === 1) {
      // Sockets can share a port only if all allow it, and would then share it with another tracker too.
      const probe = await open(family, host, port, "alone", onError);
      port = probe.address().port;
      await closeSocket(probe);
    }
    first = await open(family, host, port, sharing, onError);
  } catch (error) {
    throw bindError("udp", host, port, error);
  }
  port = first.address().port;

  const sockets = [first];
  const hosts = isWildcard ? localHosts(family) : [host];
  if (isWildcard) {
    for (const local of hosts) {
      // If an address cannot be bound (already gone, or not ready), its datagrams reach the first socket.
      const socket = await open(family, local, port, sharing, onError).catch(() => undefined);
      if (socket) sockets.push(socket);
    }
  }
  for (const socket of sockets) growReceiveBuffer(socket, options.receiveBuffer ?? defaultReceiveBuffer);
  return new Binding(family, port, sockets, hosts, options.handler).bound[0]!;
}

/** The sockets of one bound address, and the memory for one datagram that they use in turn. */
class Binding {
  readonly family: Family;
  readonly port: number;
  readonly bound: readonly BoundSocket[];
  readonly #own: readonly Address[];
  readonly #handler: DatagramHandler;
  readonly #batch = new DatagramBatch(1, new Uint8Array(2 * datagramCapacity), [new Address()]);
  /** The source of the datagram as text, which keeps the zone of a link-local address. */
  #source = "";
  #closed: Promise<void> | undefined;

  constructor(
    family: Family,
    port: number,
    sockets: readonly Socket[],
    hosts: readonly string[],
    handler: DatagramHandler,
  ) {
    this.family = family;
    this.port = port;
    this.#own = hosts.map((host) => Address.parse(host));
    this.#handler = handler;
    this.bound = sockets.map((socket) => new BoundSocket(socket, this));
  }

  get isClosed(): boolean {
    return this.#closed !== undefined;
  }

  /** Hands a datagram to the handler, unless its source is one of these sockets. */
  receive(socket: BoundSocket, message: Uint8Array, host: string, port: number): void {
    const batch = this.#batch;
    const source = batch.address[0]!;
    if (this.isClosed || !parseAddressText(host, source)) return;
    if (port === this.port && this.#own.some((address) => address.equals(source))) return;
    const length = Math.min(message.length, datagramCapacity);
    batch.bytes.set(length === message.length ? message : message.subarray(0, length), batch.inAt(0));
    batch.length[0] = length;
    batch.port[0] = port;
    batch.outLength[0] = 0;
    this.#source = host;
    this.#handler.handleBatch(socket, batch, 1, this.family);
    const at = batch.outAt(0);
    if (batch.outLength[0]! > 0) socket.send(batch.bytes, at, at + batch.outLength[0]!, host, port);
    this.#handler.afterBatch();
  }

  /** Returns the reply path of the datagram that `socket` has received. */
  replyPath(socket: BoundSocket): SendResponse {
    const host = this.#source;
    const port = this.#batch.port[0]!;
    return (bytes, start, end) => socket.send(bytes, start, end, host, port);
  }

  close(): Promise<void> {
    this.#closed ??= Promise.all(this.bound.map((socket) => socket.end())).then(() => undefined);
    return this.#closed;
  }
}

/** One socket of a binding. */
class BoundSocket implements DatagramSocket {
  readonly #socket: Socket;
  readonly #binding: Binding;
  /** Copies of responses: the socket may keep a copy until the kernel takes it. Used in turn. */
  readonly #copies = new Uint8Array(sendQueue * datagramCapacity);
  #next = 0;

  constructor(socket: Socket, binding: Binding) {
    this.#socket = socket;
    this.#binding = binding;
    socket.on("message", (message, { address, port }) => binding.receive(this, message, address, port));
  }

  get port(): number {
    return this.#binding.port;
  }

  get receiveBuffer(): number {
    const size = this.#socket.getRecvBufferSize();
    return process.platform === "linux" ? size / 2 : size; // Linux counts its own bookkeeping too
  }

  countDrops(): number {
    throw new Error("node:dgram does not count them");
  }

  replyPath(): SendResponse {
    return this.#binding.replyPath(this);
  }

  /** Sends a copy of `bytes[start..end)`, unless too many wait already. */
  send(bytes: Uint8Array, start: number, end: number, host: string, port: number): void {
    if (this.#binding.isClosed || port === 0 || this.#socket.getSendQueueCount() >= sendQueue) return;
    const at = this.#next * datagramCapacity;
    this.#next = (this.#next + 1) % sendQueue;
    this.#copies.set(bytes.subarray(start, end), at);
    // Without a callback, Node neither reports nor throws an error.
    this.#socket.send(this.#copies, at, end - start, port, host);
  }

  /** Closes all sockets of the binding. */
  close(): Promise<void> {
    return this.#binding.close();
  }

  /** Closes this socket when its queue is empty. */
  end(): Promise<void> {
    return closeSocket(this.#socket);
  }
}

/** Opens and binds a socket; rejects with the system's error. */
async function open(
  family: Family,
  host: string,
  port: number,
  sharing: "alone" | "addresses" | "threads",
  onError: (error: Error) => void,
): Promise<Socket> {
  const socket = createSocket({
    type: family === 4 ? "udp4" : "udp6",
    ipv6Only: family === 6,
    reuseAddr: sharing === "addresses",
    reusePort: sharing === "threads",
    // Hosts are always addresses: a resolver would cost a turn of the event loop per response.
    lookup: (address, _options, callback) => callback(null, address, family),
  });
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once("error", reject);
      socket.bind({ address: host, port, exclusive: true }, resolve);
    });
  } catch (error) {
    socket.close();
    throw error;
  }
  socket.removeAllListeners("error").on("error", onError);
  return socket;
}

/** Requests a large buffer; halves the size until the system accepts. */
function growReceiveBuffer(socket: Socket, wanted: number): void {
  for (let size = wanted; size >= 64 * 1024; size = Math.floor(size / 2)) {
    try {
      socket.setRecvBufferSize(size);
      return;
    } catch {
      // try half
    }
  }
}

async function closeSocket(socket: Socket): Promise<void> {
  while (socket.getSendQueueCount() > 0) await nextTurn();
  await new Promise<void>((resolve) => {
    socket.close(resolve);
  });
}

/** Returns the addresses of this machine; link-local addresses with their zone. */
function localHosts(family: Family): string[] {
  const hosts = new Set<string>();
  for (const [name, addresses] of Object.entries(networkInterfaces())) {
    for (const entry of addresses ?? []) {
      if (entry.family === "IPv4" && family === 4) hosts.add(entry.address);
      if (entry.family === "IPv6" && family === 6) {
        hosts.add(entry.scopeid === 0 ? entry.address : `${entry.address}%${name}`);
      }
    }
  }
  return [...hosts];
}
