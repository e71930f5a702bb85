import { readdir, readFile, readlink } from "node:fs/promises";

/** One end of a TCP connection. */
interface Socket {
  /** Address and port, in the system's own format. */
  local: string;
  remote: string;
  inode: string;
}

/**
 * Whether two processes have a TCP connection with each other, one of which listens on one of `ports`. Clients also
 * connect to themselves: a tracker lists the peer that asks where it is the only one.
 *
 * Reads /proc: without it (not on Linux) the answer is always no.
 */
export async function areConnected(
  first: number,
  second: number,
  ports: readonly number[],
): Promise<boolean> {
  const sockets = await listSockets();
  const byEnds = new Map(sockets.map((socket) => [`${socket.local} ${socket.remote}`, socket]));
  const accepted = sockets.filter(({ local }) => ports.includes(Number.parseInt(local.split(":")[1]!, 16)));
  if (accepted.length === 0) return false;
  const [ofFirst, ofSecond] = [await inodesOf(first), await inodesOf(second)];
  return accepted.some(({ local, remote, inode }) => {
    const other = byEnds.get(`${remote} ${local}`)?.inode ?? "";
    return (ofFirst.has(inode) && ofSecond.has(other)) || (ofSecond.has(inode) && ofFirst.has(other));
  });
}

async function listSockets(): Promise<Socket[]> {
  const established = "01";
  const tables = await Promise.all(
    ["/proc/net/tcp", "/proc/net/tcp6"].map((file) => readFile(file, "latin1").catch(() => "")),
  );
  return tables.flatMap((table) =>
    table
      .split("\n")
      .slice(1)
      .map((line) => line.trim().split(/\s+/))
      .filter(([, , , state]) => state === established)
      .map(([, local, remote, , , , , , , inode]) => ({ local: local!, remote: remote!, inode: inode! })),
  );
}

/** The sockets that a process has open. */
async function inodesOf(pid: number): Promise<Set<string>> {
  const directory = `/proc/${pid}/fd`;
  const names = await readdir(directory).catch(() => []);
  const links = await Promise.all(names.map((name) => readlink(`${directory}/${name}`).catch(() => "")));
  return new Set(links.flatMap((link) => /^socket:\[(\d+)\]$/.exec(link)?.[1] ?? []));
}
