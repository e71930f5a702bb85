import { Address, type Family } from "../../ip/address.ts";
import { bindError } from "../bind-error.ts";
import { Linux, layouts, nameCapacity, portAt, writeSocketAddress } from "./abi.ts";
import { type Libc, setOption, systemError } from "./libc.ts";

/** Options of a socket to bind. */
interface Binding {
  host: string;
  port: number;
  threads?: number;
}

/** A bound socket. */
export interface OpenSocket {
  fd: number;
  family: Family;
  address: Address;
  port: number;
}

/**
 * Opens a socket and binds it; an IPv6 socket accepts IPv6 only. Closes the socket after any error.
 * @param prepare  sets the socket's options, before the bind
 * @param finish   turns the socket into the result
 * @throws Error that names the address and the remedy, whatever has failed
 */
export function openSocket<T>(
  libc: Libc,
  scheme: "udp" | "http",
  { host, port, threads = 1 }: Binding,
  prepare: (fd: number, family: Family, address: Address) => void,
  finish: (socket: OpenSocket) => T,
): T {
  const address = Address.parse(host);
  const family: Family = host.includes(":") ? 6 : 4;
  const { domain, nameLength } = layouts[family];
  const type = scheme === "udp" ? Linux.SOCK_DGRAM : Linux.SOCK_STREAM;
  const fd = libc.socket(domain, type | Linux.SOCK_NONBLOCK | Linux.SOCK_CLOEXEC, 0);
  try {
    if (fd < 0) throw systemError(libc, "socket");
    if (family === 6) setOption(libc, fd, Linux.SOL_IPV6, Linux.IPV6_V6ONLY, 1);
    if (threads > 1) setOption(libc, fd, Linux.SOL_SOCKET, Linux.SO_REUSEPORT, 1);
    prepare(fd, family, address);
    const name = new Uint8Array(nameCapacity);
    const view = new DataView(name.buffer);
    writeSocketAddress(view, 0, address, family, port);
    if (libc.bind(fd, name, nameLength) < 0) throw systemError(libc, "bind");
    const length = new Uint8Array(new Uint32Array([nameCapacity]).buffer);
    if (libc.getsockname(fd, name, length) < 0) throw systemError(libc, "getsockname");
    return finish({ fd, family, address, port: view.getUint16(portAt) });
  } catch (error) {
    if (fd >= 0) libc.close(fd);
    throw bindError(scheme, host, port, error);
  }
}
