import { type Address, addressLength, type Family } from "../../ip/address.ts";

/** Numbers of the Linux kernel's interface, the same on x64 and arm64. */
export const Linux = {
  AF_INET: 2,
  AF_INET6: 10,
  SOCK_STREAM: 1,
  SOCK_DGRAM: 2,
  SOCK_NONBLOCK: 0o4000,
  SOCK_CLOEXEC: 0o2000000,
  SOL_IP: 0,
  SOL_SOCKET: 1,
  SOL_TCP: 6,
  SOL_UDP: 17,
  SOL_IPV6: 41,
  SO_REUSEADDR: 2,
  SO_SNDBUF: 7,
  SO_RCVBUF: 8,
  SO_LINGER: 13,
  SO_REUSEPORT: 15,
  SO_ATTACH_REUSEPORT_CBPF: 51,
  SO_MEMINFO: 55,
  SK_MEMINFO_DROPS: 8,
  SK_MEMINFO_VARS: 9,
  BPF_RET_K: 6,
  IP_PKTINFO: 8,
  IP_BIND_ADDRESS_NO_PORT: 24,
  IPV6_V6ONLY: 26,
  IPV6_RECVPKTINFO: 49,
  TCP_NODELAY: 1,
  TCP_DEFER_ACCEPT: 9,
  UDP_SEGMENT: 103,
  MSG_DONTWAIT: 0x40,
  MSG_NOSIGNAL: 0x4000,
  MSG_MORE: 0x8000,
  MADV_DONTNEED: 4,
  EPOLL_CTL_ADD: 1,
  EPOLL_CTL_DEL: 2,
  EPOLL_CTL_MOD: 3,
  EPOLLIN: 1,
  EPOLLOUT: 4,
  EPOLLERR: 8,
  EPOLLHUP: 16,
  EPOLLRDHUP: 0x2000,
  EPOLL_CLOEXEC: 0o2000000,
  POLLIN: 1,
  EINTR: 4,
  EAGAIN: 11,
  ENOMEM: 12,
  SHUT_WR: 1,
  ENFILE: 23,
  EMFILE: 24,
  ENOBUFS: 105,
  EINPROGRESS: 115,
} as const;

/** What differs between the families in the kernel's structs; offsets are from the beginning of a struct. */
interface FamilyLayout {
  /** The number of the family: `AF_INET`. */
  readonly domain: number;
  /** Bytes of a socket address, and where the IP address is in it. */
  readonly nameLength: number;
  readonly addressAt: number;
  /** Bytes of a control message with the packet's own address: `in_pktinfo`, `in6_pktinfo`. */
  readonly controlLength: number;
}

/** The layouts of the families. */
export const layouts: Readonly<Record<Family, FamilyLayout>> = {
  4: { domain: Linux.AF_INET, nameLength: 16, addressAt: 4, controlLength: 32 },
  6: { domain: Linux.AF_INET6, nameLength: 28, addressAt: 8, controlLength: 40 },
};

/** Bytes for a `sockaddr_in` or a `sockaddr_in6`, rounded up. */
export const nameCapacity = 32;
/** The offset of the port (big-endian) in a socket address. */
export const portAt = 2;

/**
 * Writes a socket address: family u16 in machine order, port u16; then for IPv4 the address, for IPv6 flow u32, address
 * and scope u32.
 */
export function writeSocketAddress(
  view: DataView,
  at: number,
  address: Address,
  family: Family,
  port: number,
): void {
  const { domain, nameLength, addressAt } = layouts[family];
  for (let i = 0; i < nameLength; i++) view.setUint8(at + i, 0);
  view.setUint16(at, domain, true);
  view.setUint16(at + portAt, port);
  const length = addressLength[family];
  for (let i = 0; i < length; i++) view.setUint8(at + addressAt + i, address.bytes[i]!);
}

/** Reads the IP address in a socket address of `family` into `address`, in canonical form. */
export function readSocketAddress(bytes: Uint8Array, at: number, family: Family, address: Address): void {
  address.set(family, bytes, at + layouts[family].addressAt);
}

/** `struct mmsghdr` on 64-bit Linux: its size, and where its fields are. */
export const Message = {
  size: 64,
  name: 0,
  nameLength: 8,
  iov: 16,
  iovCount: 24,
  control: 32,
  controlLength: 40,
  length: 56,
} as const;

/** `struct iovec`: its size, and where its fields are. */
export const Iovec = { size: 16, base: 0, length: 8 } as const;

/** `struct cmsghdr` with `struct in_pktinfo`: where the fields are. */
export const Control = { length: 0, level: 8, type: 12, interface: 16, source: 20 } as const;

/** Room for one control message of either family. */
export const controlCapacity = 48;

/** Gives a message its only part: `length` bytes at the address `data`. `here` is the address of the view's bytes. */
export function writePart(
  view: DataView,
  here: bigint,
  message: number,
  iov: number,
  data: bigint,
  length: number,
): void {
  view.setBigUint64(message + Message.iov, here + BigInt(iov), true);
  view.setBigUint64(message + Message.iovCount, 1n, true);
  view.setBigUint64(iov + Iovec.base, data, true);
  view.setBigUint64(iov + Iovec.length, BigInt(length), true);
}

/** Gives a message a socket address of `family`, which lies at the address `name`. */
export function writeName(view: DataView, message: number, name: bigint, family: Family): void {
  view.setBigUint64(message + Message.name, name, true);
  view.setUint32(message + Message.nameLength, layouts[family].nameLength, true);
}

/** Gives a message room for a control message of `family`, which lies at the address `control`. */
export function writeControl(view: DataView, message: number, control: bigint, family: Family): void {
  view.setBigUint64(message + Message.control, control, true);
  view.setUint32(message + Message.controlLength, layouts[family].controlLength, true);
}
