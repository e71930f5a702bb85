import { Address } from "../../src/ip/address.ts";
import { Population, type PopulationShape } from "../../src/load/population.ts";
import { Sources } from "../../src/load/sources.ts";
import { AnnounceFrame } from "../../src/load/websocket-messages.ts";
import { Linux, layouts, nameCapacity, writeSocketAddress } from "../../src/net/linux/abi.ts";
import { type Libc, loadLibc, setOption, systemError } from "../../src/net/linux/libc.ts";

/** Addresses of the clients. */
const sources = 200;
/** Bytes that the kernel keeps for a client that does not read; Linux grants twice as many. */
const receiveBytes = 4096;
/** `getsockopt` returns the state of a connection in the first byte. */
const [tcpInfo, established] = [11, 1];

const handshake = new Uint8Array(
  Buffer.from(
    "GET / HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
  ),
);

/** WebSockets of peers that announce once and then read nothing. */
export class SilentSockets {
  readonly #libc: Libc;
  readonly #port: number;
  readonly #population: Population;
  readonly #announce: AnnounceFrame = new AnnounceFrame(0, "started");
  readonly #sources: Sources = new Sources("127.0.0.1", sources);
  readonly #remote: Uint8Array = new Uint8Array(nameCapacity);
  readonly #local: Uint8Array = new Uint8Array(nameCapacity);
  readonly #bytes: Uint8Array = new Uint8Array(receiveBytes);
  readonly #bytesAt: number;
  readonly #state: Uint8Array = new Uint8Array(1);
  readonly #stateLength: Uint8Array = new Uint8Array(4);
  /** Descriptors; -1 of a socket that is not open. */
  readonly #fds: Int32Array;

  private constructor(libc: Libc, port: number, shape: PopulationShape, count: number) {
    this.#libc = libc;
    this.#port = port;
    this.#population = new Population(shape);
    this.#fds = new Int32Array(count).fill(-1);
    this.#bytesAt = Number(libc.address(this.#bytes));
    writeSocketAddress(new DataView(this.#remote.buffer), 0, Address.parse("127.0.0.1"), 4, port);
    writeSocketAddress(new DataView(this.#local.buffer), 0, Address.parse("127.0.0.1"), 4, 0);
  }

  /** @param shape  the population of the peers */
  static async create(port: number, shape: PopulationShape, count: number): Promise<SilentSockets> {
    return new SilentSockets(await loadLibc(), port, shape, count);
  }

  /** Opens all sockets that are not open, or that the tracker has closed. @returns how many */
  open(): number {
    let opened = 0;
    for (let i = 0; i < this.#fds.length; i++) {
      if (this.#isOpen(this.#fds[i]!)) continue;
      if (this.#fds[i]! >= 0) this.#libc.close(this.#fds[i]!);
      this.#fds[i] = this.#connect(i);
      opened++;
    }
    return opened;
  }

  close(): void {
    for (const fd of this.#fds) if (fd >= 0) this.#libc.close(fd);
    this.#fds.fill(-1);
  }

  #isOpen(fd: number): boolean {
    if (fd < 0) return false;
    this.#stateLength[0] = 1;
    const result = this.#libc.getsockopt(fd, Linux.SOL_TCP, tcpInfo, this.#state, this.#stateLength);
    return result === 0 && this.#state[0] === established;
  }

  #connect(peer: number): number {
    const libc = this.#libc;
    const { domain, addressAt, nameLength } = layouts[4];
    const fd = libc.socket(domain, Linux.SOCK_STREAM | Linux.SOCK_CLOEXEC, 0);
    if (fd < 0) throw systemError(libc, "socket");
    setOption(libc, fd, Linux.SOL_SOCKET, Linux.SO_RCVBUF, receiveBytes);
    setOption(libc, fd, Linux.SOL_IP, Linux.IP_BIND_ADDRESS_NO_PORT, 1);
    new DataView(this.#local.buffer).setUint32(addressAt, this.#sources.address(peer % sources)!);
    if (libc.bind(fd, this.#local, nameLength) < 0) throw systemError(libc, "bind");
    if (libc.connect(fd, this.#remote, nameLength) < 0) throw systemError(libc, "connect");
    libc.send(fd, handshake, handshake.length, 0);
    const length = libc.recv(fd, this.#bytesAt, receiveBytes, 0);
    const response = Buffer.from(this.#bytes.subarray(0, Math.max(0, length))).toString("latin1");
    if (!response.startsWith("HTTP/1.1 101 ")) throw new Error(`port ${this.#port} responds: ${response}`);
    const { frame } = this.#announce;
    this.#announce.write(this.#population, peer, 0);
    libc.send(fd, frame.bytes, frame.bytes.length, 0);
    return fd;
  }
}
