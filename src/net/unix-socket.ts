import { existsSync, lstatSync, type Stats, unlinkSync } from "node:fs";
import { connect, createServer } from "node:net";
import { dirname } from "node:path";
import { Address } from "../ip/address.ts";
import { acceptSocket, socketOptions } from "./portable/stream.ts";
import { checkSocketPath } from "./socket-path.ts";
import type { StreamHandler, StreamListener } from "./stream.ts";

/** Only the owner may read and write. */
const ownerOnly = 0o177;

export interface UnixSocketOptions<State> {
  readonly path: string;
  readonly handler: StreamHandler<State>;
  /** Called for errors that the listener reports by itself; these errors never close the listener. */
  onError(error: Error): void;
}

/**
 * Listens on a unix socket that only the owner of the process (and root) may open: the file has mode 0600 from its first
 * moment. Clients have the address 127.0.0.1. Closing the listener removes the file.
 *
 * The file of a process that was killed is replaced. Rejects, with an Error that names the path and the remedy, if a process
 * listens there, or if the file is no socket.
 */
export async function listenUnix<State>({
  path,
  handler,
  onError,
}: UnixSocketOptions<State>): Promise<StreamListener> {
  const refuse = (why: string, cause?: unknown) =>
    new Error(`cannot listen on unix:${path}: ${why}`, { cause });
  const problem = checkSocketPath(path) ?? (await removeStale(path));
  if (problem !== undefined) throw refuse(problem);
  const loopback = Address.parse("127.0.0.1");
  const server = createServer(socketOptions, (socket) => acceptSocket(socket, handler, loopback));
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) => reject(refuse(explain(path, error), error)));
    // `listen` binds before it returns, so no other code of this thread runs with this mask.
    const mask = process.umask(ownerOnly);
    try {
      server.listen({ path }, resolve);
    } finally {
      process.umask(mask);
    }
  });
  server.removeAllListeners("error");
  server.on("error", onError);
  return {
    port: 0,
    prepareTls() {
      throw new Error("a unix socket has no TLS");
    },
    close() {
      if (server.listening) server.close();
      return Promise.resolve();
    },
  };
}

/** Removes the socket of a process that no longer runs. @returns why the path cannot be used otherwise */
async function removeStale(path: string): Promise<string | undefined> {
  let stat: Stats | undefined;
  try {
    stat = lstatSync(path, { throwIfNoEntry: false });
  } catch (error) {
    return explain(path, error);
  }
  if (stat === undefined) return undefined;
  if (!stat.isSocket()) return "the file exists and is no socket; remove the file, or choose another path";
  const refusal = await findRefusal(path);
  if (refusal === "ENOENT") return undefined;
  if (refusal === "EACCES") return "the socket belongs to another user; choose another path";
  if (refusal !== "ECONNREFUSED") return inUse;
  try {
    unlinkSync(path);
    return undefined;
  } catch (error) {
    return explain(path, error);
  }
}

const inUse = "another process listens there; stop it, or choose another path";

/** Connects to a socket. @returns the code of the error; undefined if a process accepts connections */
function findRefusal(path: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ path });
    socket.once("connect", () => {
      socket.destroy();
      resolve(undefined);
    });
    socket.once("error", ({ code }: NodeJS.ErrnoException) => resolve(code ?? ""));
  });
}

function explain(path: string, error: unknown): string {
  const { code: reported = "", message } = error as NodeJS.ErrnoException;
  const directory = dirname(path);
  // libuv reports EACCES for a missing directory too.
  const code = reported === "EACCES" && !existsSync(directory) ? "ENOENT" : reported;
  const remedies: Readonly<Record<string, string>> = {
    EADDRINUSE: inUse,
    ENOENT: `there is no directory ${directory}; create the directory, or choose another path`,
    ENOTDIR: `${directory} is no directory; choose another path`,
    EACCES: `no permission to create files in ${directory}; choose another path`,
    EPERM: `no permission to create files in ${directory}; choose another path`,
    EROFS: `${directory} is on a read-only file system; choose another path`,
    ENOSPC: `the file system of ${directory} is full`,
  };
  return remedies[code] ?? message;
}
