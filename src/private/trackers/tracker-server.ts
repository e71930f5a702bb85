import type { AddressInfo } from "node:net";
import { createServer, type Server, type TLSSocket } from "node:tls";
import type { ListenAddress } from "../../ip/listen-address.ts";
import type { Logger } from "../../observability/logger.ts";
import type { AddressPolicy } from "../accounting/address-policy.ts";
import type { DirectoryMemory } from "../directory.ts";
import { copyDirectory } from "../directory-copy.ts";
import type { DirectoryChange } from "../directory-records.ts";
import type { RecordSource } from "../ring.ts";
import {
  Frame,
  FrameConnection,
  type Hello,
  parseFrame,
  protocolVersion,
  serverOptions,
  type Welcome,
} from "./connection.ts";
import { RemoteRecords } from "./remote-records.ts";

/** Bytes of a frame of a table. */
const tablePart = 1 << 20;
/** Bytes of the number before the records of a frame. */
const sequenceBytes = 8;

/** What the server needs of the accounts. */
export interface Accounts {
  readonly positions: ReadonlyMap<string, number>;
  readonly addresses: AddressPolicy;
  /** Whether the positions are on disk. */
  readonly isWritten: boolean;
}

/** The collaborators of a {@link TrackerServer}. */
export interface TrackerServerDeps {
  secret: string;
  logger: Logger;
  /** Wakes the accountant, because records wait. */
  wake(): void;
}

/** Serves the further trackers of the site: sends them users and torrents, and takes their records. */
export class TrackerServer {
  /** The records of all connected trackers. */
  readonly sources: Set<RecordSource> = new Set();
  readonly #deps: TrackerServerDeps;
  readonly #servers: Server[] = [];
  /** By the instance of the tracker. */
  readonly #trackers = new Map<string, { connection: FrameConnection; records: RemoteRecords }>();
  readonly #sockets = new Set<TLSSocket>();
  #accounts: Accounts | undefined;
  #directory: DirectoryMemory | undefined;

  constructor(deps: TrackerServerDeps) {
    this.#deps = deps;
  }

  /** Begins to accept trackers. @returns the value of `database` for the other trackers, for each address @throws Error if an address is in use */
  async listen(accounts: Accounts, addresses: readonly ListenAddress[]): Promise<string[]> {
    const { secret, logger } = this.#deps;
    this.#accounts = accounts;
    for (const { host, port } of addresses) {
      const server = createServer(serverOptions(secret), (socket) => this.#accept(socket));
      server.on("tlsClientError", (error) =>
        logger.warn({ err: error }, "a tracker could not connect; do both trackers have the same secret?"),
      );
      await new Promise<void>((resolve, reject) => {
        server.once("error", reject);
        server.listen(port, host, resolve);
      });
      this.#servers.push(server);
    }
    return this.#servers.map((server) => {
      const { address, port, family } = server.address() as AddressInfo;
      return `tracker://${family === "IPv6" ? `[${address}]` : address}:${port}`;
    });
  }

  /** Sends a new directory to all trackers. */
  publish(memory: DirectoryMemory): void {
    this.#directory = memory;
    for (const { connection } of this.#trackers.values()) sendDirectory(connection, memory);
  }

  /** Sends a change of the directory to all trackers. */
  change(change: DirectoryChange): void {
    for (const { connection } of this.#trackers.values()) connection.sendJson(Frame.change, change);
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await Promise.all(this.#servers.map((server) => new Promise((resolve) => server.close(resolve))));
  }

  #accept(socket: TLSSocket): void {
    this.#sockets.add(socket);
    let instance: string | undefined;
    let records: RemoteRecords | undefined;
    const connection: FrameConnection = new FrameConnection(
      socket,
      (kind, payload) => {
        if (records === undefined) {
          const hello = parseFrame<Hello>(payload);
          if (
            kind !== Frame.hello ||
            hello.version !== protocolVersion ||
            !/^[\da-f]{32}$/.test(hello.instance)
          )
            throw new Error("another version of the program");
          instance = hello.instance;
          records = this.#welcome(instance, connection);
        } else if (kind === Frame.records) {
          records.push(Number(payload.readBigUInt64LE(0)), payload.subarray(sequenceBytes));
          this.#deps.wake();
        } else throw new Error(`unexpected frame ${kind}`);
      },
      (error) => {
        this.#sockets.delete(socket);
        if (instance === undefined || this.#trackers.get(instance)?.connection !== connection) return;
        this.#forget(instance);
        this.#deps.logger.warn({ instance, err: error }, "a tracker of the site has disconnected");
      },
    );
  }

  #welcome(instance: string, connection: FrameConnection): RemoteRecords {
    this.#forget(instance);
    const { positions, addresses, isWritten } = this.#accounts!;
    const position = positions.get(instance) ?? 0;
    const { storeIps, key: ipKey } = addresses;
    const welcome: Welcome = { version: protocolVersion, position, storeIps, ipKey };
    connection.sendJson(Frame.welcome, welcome);
    if (isWritten) connection.sendJson(Frame.ack, { sequence: position });
    if (this.#directory !== undefined) sendDirectory(connection, this.#directory);
    const records = new RemoteRecords(instance, position, (sequence) =>
      connection.sendJson(Frame.ack, { sequence }),
    );
    this.sources.add(records);
    this.#trackers.set(instance, { connection, records });
    this.#deps.logger.info({ instance, position }, "a tracker of the site has connected");
    return records;
  }

  /** Drops the connection of a tracker. What it has sent beyond the position, it sends again. */
  #forget(instance: string): void {
    const tracker = this.#trackers.get(instance);
    if (tracker === undefined) return;
    this.#trackers.delete(instance);
    this.sources.delete(tracker.records);
    tracker.records.close();
    tracker.connection.close();
  }
}

/** Sends all tables. */
function sendDirectory(connection: FrameConnection, memory: DirectoryMemory): void {
  const { sizes, tables } = copyDirectory(memory);
  for (const bytes of tables) {
    for (let at = 0; at < bytes.length; at += tablePart)
      connection.send(Frame.table, bytes.subarray(at, at + tablePart));
  }
  connection.sendJson(Frame.publish, sizes);
}
