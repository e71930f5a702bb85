import { setTimeout as delay } from "node:timers/promises";
import { TimeoutError, withTimeout } from "../../lib/with-timeout.ts";
import { slotOf } from "./key-slot.ts";
import type { RedisArgument, RedisNode, RedisPort } from "./redis-port.ts";

/** A connection to one server. Reconnects by itself until destroyed. */
export interface ServerConnection extends RedisNode {
  readonly isReady: boolean;
  /** Resolves with the first connection; rejects if the connection is destroyed or its first attempt fails. */
  readonly opened: Promise<unknown>;
  destroy(): void;
}

export interface ClusterOptions {
  /** `host:port` of the servers that the connection asks for the members of the cluster while none is connected. */
  roots: readonly string[];
  open(host: string, port: number): ServerConnection;
  connectTimeoutMs: number;
  /** How long to wait for a reply to a query, and for pending replies of a server that is being released. */
  readTimeoutMs: number;
}

/** The maximum number of redirections of one command. */
const mostRedirections = 5;
/** Milliseconds between two refreshes of the slots while an owner is not connected; half of them random. */
const refreshMs = 500;

/** `[from, to, [host, port, ...], ...replicas]` */
type SlotRange = [number, number, [Buffer | null, number]];

/**
 * Sends commands to the primaries of a cluster. A silent server delays only its own commands: after a failover some
 * servers still name the dead primary, and the store must be able to query and use the others.
 */
export class ClusterConnection implements RedisPort {
  readonly isCluster = true;
  readonly #options: ClusterOptions;
  readonly #servers = new Map<string, ServerConnection>();
  readonly #retired = new Map<ServerConnection, NodeJS.Timeout>();
  /** The address of each slot's primary. */
  #owners: (string | undefined)[] = [];
  #refreshing: Promise<void> | undefined;
  #refreshedMs = Number.NEGATIVE_INFINITY;
  #isClosed = false;

  constructor(options: ClusterOptions) {
    this.#options = options;
  }

  /**
   * Refreshes the slots until all their owners are connected.
   * @throws Error that names the missing servers, after the connect timeout
   */
  async connect(): Promise<void> {
    const until = performance.now() + this.#options.connectTimeoutMs;
    for (;;) {
      await this.#refreshSlots();
      const primaries = this.#primaries();
      const opened = primaries.map((address) => this.#serverAt(address).opened);
      await withTimeout(refreshMs, Promise.allSettled(opened)).catch(() => undefined);
      const missing = primaries.filter((address) => !this.#servers.get(address)?.isReady);
      if (missing.length === 0 && primaries.length > 0) return;
      if (this.#isClosed || performance.now() >= until) {
        throw new Error(`no connection to ${missing.join(", ") || this.#options.roots.join(", ")}`);
      }
      await delay(refreshMs / 2 + (Math.random() * refreshMs) / 2, undefined, { ref: false });
    }
  }

  /** Sends one command to the primary of `key`, and follows redirections. */
  async send(key: Buffer, args: readonly RedisArgument[]): Promise<unknown> {
    const slot = slotOf(key);
    if (!this.#servers.get(this.#owners[slot]!)?.isReady) await this.#refreshAfterError();
    let address = this.#owners[slot];
    let isAsking = false;
    for (let redirections = 0; ; redirections++) {
      if (address === undefined) throw new Error(`no server of the cluster owns slot ${slot}`);
      try {
        return await this.#sendTo(address, args, isAsking);
      } catch (error) {
        const [kind, , to = ""] = (error as Error).message.split(" ");
        if ((kind !== "MOVED" && kind !== "ASK") || redirections === mostRedirections) throw error;
        address = to.startsWith(":") ? hostOf(address) + to : to; // an empty host means the queried server
        isAsking = kind === "ASK";
        if (!isAsking) {
          this.#owners[slot] = address;
          this.#refreshSlots().catch(() => undefined);
        }
      }
    }
  }

  masters(): RedisNode[] {
    return this.#primaries().map((address) => ({
      send: (args) => withTimeout(this.#options.readTimeoutMs, this.#sendTo(address, args, false)),
      owns: (key) => this.#owners[slotOf(key)] === address,
    }));
  }

  renew(): void {
    for (const [address, server] of this.#servers) {
      if (!server.isReady) continue; // already reconnecting
      withTimeout(this.#options.readTimeoutMs, server.send(["PING"])).catch((error) => {
        if (!(error instanceof TimeoutError) || this.#servers.get(address) !== server) return;
        this.#servers.delete(address);
        server.destroy();
      });
    }
  }

  close(): void {
    this.#isClosed = true;
    for (const timer of this.#retired.values()) clearTimeout(timer);
    for (const server of [...this.#servers.values(), ...this.#retired.keys()]) server.destroy();
    this.#servers.clear();
    this.#retired.clear();
  }

  async #sendTo(address: string, args: readonly RedisArgument[], isAsking: boolean): Promise<unknown> {
    const server = this.#serverAt(address);
    if (!server.isReady) {
      await server.opened;
      if (!server.isReady) throw new Error(`no connection to ${address}`);
    }
    if (isAsking) server.send(["ASKING"]).catch(() => undefined);
    return server.send(args);
  }

  #serverAt(address: string): ServerConnection {
    let server = this.#servers.get(address);
    if (!server) {
      if (this.#isClosed) throw new Error("closed");
      server = this.#options.open(hostOf(address), Number(address.slice(address.lastIndexOf(":") + 1)));
      server.opened.catch(() => undefined);
      this.#servers.set(address, server);
    }
    return server;
  }

  #primaries(): string[] {
    const primaries = new Set(this.#owners);
    primaries.delete(undefined); // slots without an owner
    return [...primaries] as string[];
  }

  /**
   * Refreshes the slots after an error: a primary that restarts after a hand-over is gone before the slots name another
   * owner.
   */
  async #refreshAfterError(): Promise<void> {
    if (performance.now() < this.#refreshedMs + refreshMs) return this.#refreshing;
    this.#refreshedMs = performance.now();
    await this.#refreshSlots();
  }

  /** Asks all connected servers for the owners of the slots. */
  #refreshSlots(): Promise<void> {
    this.#refreshing ??= this.#queryServers().finally(() => {
      this.#refreshing = undefined;
    });
    return this.#refreshing;
  }

  async #queryServers(): Promise<void> {
    const ready = (): string[] => [...this.#servers.keys()].filter((at) => this.#servers.get(at)!.isReady);
    if (ready().length === 0) {
      const roots = this.#options.roots.map((address) => this.#serverAt(address).opened);
      await withTimeout(this.#options.connectTimeoutMs, Promise.any(roots)).catch(() => undefined);
    }
    const views: string[] = [];
    const asked = ready();
    const agreed = Promise.withResolvers<void>();
    const replies = asked.map(async (address) => {
      const reply = this.#servers.get(address)!.send(["CLUSTER", "SLOTS"]);
      const view = viewIn((await withTimeout(this.#options.readTimeoutMs, reply)) as SlotRange[], address);
      views.push(view);
      if (views.filter((other) => other === view).length > asked.length / 2) agreed.resolve();
    });
    await Promise.race([Promise.allSettled(replies), agreed.promise]);
    if (views.length === 0 || this.#isClosed) return;
    this.#owners = [];
    for (const range of mostCommon(views).split(",")) {
      const [from, to, owner] = range.split(" ");
      for (let slot = Number(from); slot <= Number(to); slot++) this.#owners[slot] = owner;
    }
    const primaries = this.#primaries();
    for (const address of primaries) this.#serverAt(address);
    for (const [address, server] of this.#servers)
      if (!primaries.includes(address)) this.#release(address, server);
  }

  /** Releases a server that owns no slots, after its pending replies. */
  #release(address: string, server: ServerConnection): void {
    this.#servers.delete(address);
    const destroy = (): void => {
      this.#retired.delete(server);
      server.destroy();
    };
    this.#retired.set(server, setTimeout(destroy, this.#options.readTimeoutMs).unref());
  }
}

function hostOf(address: string): string {
  return address.slice(0, address.lastIndexOf(":"));
}

/** Returns one server's view as text, equal for servers that agree: `from to host:port,...` */
function viewIn(ranges: readonly SlotRange[], asked: string): string {
  const owners = ranges.map(
    ([from, to, [host, port]]) => `${from} ${to} ${host?.toString() || hostOf(asked)}:${port}`,
  );
  return owners.sort().join();
}

/** Returns the most common view, so that the majority outvotes an isolated or outdated server. */
function mostCommon(views: readonly string[]): string {
  const votes = (view: string): number => views.filter((other) => other === view).length;
  return [...views].sort((a, b) => votes(b) - votes(a))[0]!;
}
