import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { resolve } from "node:path";
import { ask } from "./operator-client.ts";

/** Programs of the tracker in a command line: `/usr/bin/chihaya`, `dist/cli/main.js`. */
const program = /(^|\/)(chihaya|cli\/main\.[jt]s)$/;
/** `SO_ACCEPTCON` in the column of flags of `/proc/net/unix`: the socket listens. */
const listens = 0x10000;
/** In milliseconds. */
const timeoutMs = 2000;

/**
 * Finds the unix sockets of running trackers of a configuration file, by Linux's `/proc`. A tracker keeps the socket that it was
 * started with, whatever the file names now. Other users' processes are left out, as their sockets could not be opened.
 * @returns paths; none on other systems
 */
export async function findRunningSockets(file: string): Promise<string[]> {
  const found: string[] = [];
  for (const { socket, cwd } of listSockets()) {
    const reply = await ask({ socket }, "GET", "/api/v1/config", timeoutMs).catch(() => undefined);
    const running = (reply?.body as { file?: unknown } | undefined)?.file;
    if (typeof running === "string" && resolve(cwd, running) === resolve(file)) found.push(socket);
  }
  return found;
}

/** Lists the unix sockets on which processes of the tracker listen. */
function listSockets(): { socket: string; cwd: string }[] {
  return read(() => readdirSync("/proc"), []).flatMap((id) => {
    if (!/^\d+$/.test(id)) return [];
    const path = `/proc/${id}`;
    const args = read(() => readFileSync(`${path}/cmdline`, "utf8"), "").split("\0");
    if (!args.slice(0, 4).some((arg) => program.test(arg))) return [];
    const links = read(() => readdirSync(`${path}/fd`), []).map((fd) =>
      read(() => readlinkSync(`${path}/fd/${fd}`), ""),
    );
    const own = new Set(links.map((link) => /^socket:\[(\d+)\]$/.exec(link)?.[1]));
    const cwd = read(() => readlinkSync(`${path}/cwd`), "/");
    const lines = read(() => readFileSync(`${path}/net/unix`, "utf8"), "").split("\n");
    return lines.flatMap((line) => {
      const [, flags = "0", inode, socket] = /^\w+: \w+ \w+ (\w+) \w+ \w+ +(\d+) (\/.*)$/.exec(line) ?? [];
      if (socket === undefined || !own.has(inode) || (Number.parseInt(flags, 16) & listens) === 0) return [];
      return [{ socket, cwd }];
    });
  });
}

/** Reads something of a process, which may have ended. */
function read<Value>(get: () => Value, instead: Value): Value {
  try {
    return get();
  } catch {
    return instead;
  }
}
