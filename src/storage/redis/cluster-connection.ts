import { setTimeout as delay } from "node:timers/promises";
import { TimeoutError, withTimeout } from "../../lib/with-timeout.ts";
import { slotOf } from "./key-slot.ts";
import { isRefusal } from "./redis-errors.ts";
import type { RedisArgument, RedisNode, RedisPort } from "./redis-port.ts";

/** A connection to one server. Reconnects by itself until destroyed. */
export interface ServerConnection extends RedisNode {
  readonly isReady: boolean;
  /** Why the server has refused the login at the last attempt. */
  readonly refusal?: Error | undefined;
  /** Resolves with the first connection; rejects if the connection is destroyed or its first attempt fails. */
  readonly opened: Promise<unknown>;
  destroy(): void;
}

export interface ClusterOptions {
  /** `host:port` of the servers that the connection asks for the members of the cluster while none is connected. */
  roots: readonly string[];
  open(host: string, port: number): ServerConnection;
  /**
   * Subscribes to a channel at one server.
   * @param onLost  called once, if the connection is lost later
   * @returns a function that closes the connection
   */
  subscribe(
    host: string,
    port: number,
    channel: string,
    receive: (message: Buffer) => void,
    onLost: () => void,
  ): Promise<() => void>;
  connectTimeoutMs: number;
  /** How long to wait for a reply to a query, and for pending replies of a server that is being released. */
  readTimeoutMs: number;
}

/** The maximum number of redirections of one command. */
const mostRedirections = 5;
/** Milliseconds between two refreshes of the slots while an owner is not connected; half of them random. */
const refreshMs = 500;
/** Milliseconds between two attempts to send a command while the cluster is down; half of them random. */
const retryMs = 50;

/** The connection broke before the reply: the server may have run the command, or not. */
class LostReplyError extends Error {
  constructor(cause: Error) {
    super(cause.message, { cause });
  }
}

/** `[from, to, [host, port, ...], ...replicas]` */
type SlotRange = [number, number, [Buffer | null, number]];

/** The slots of a cluster as one server knows them. */
interface View {
  /** The address of each slot's primary. */
  readonly owners: readonly (string | undefined)[];
  /** Equal for servers that agree. */
  readonly text: string;
}

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
  /**
   * The servers that have redirected commands of a slot. After a failover some servers name the former primary for a
   * moment, and their views must not lead commands back to that server.
   */
  readonly #moves = new Map<number, { from: string; untilMs: number }>();
  /** The servers for which the cluster is down, and until when a command for them is repeated. */
  readonly #down = new Map<string, number>();
  #refreshing: Promise<void> | undefined;
  #refreshedMs = Number.NEGATIVE_INFINITY;
  #isClosed = false;

  constructor(options: ClusterOptions) {
    this.#options = options;
  }

  /**
   * Refreshes the slots until all their owners are connected.
   * @throws Error that names the missing servers, after the connect timeout; at once the refusal of a server
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
      const refusal = this.#refusalOf(primaries);
      if (refusal !== undefined) throw refusal;
      if (this.#isClosed || performance.now() >= until) {
        throw new Error(`no connection to ${missing.join(", ") || this.#options.roots.join(", ")}`);
      }
      await delay(jitter(refreshMs), undefined, { ref: false });
    }
  }

  /**
   * Sends one command to the primary of `key`, and follows redirections. Sends it again if the cluster is down for a moment:
   * in a failover, the message of the former primary may arrive at a server before that of the new one. If the connection
   * breaks within half of the read timeout and the slot has a new primary, sends the command again to that one: a former primary
   * that restarts does not answer what it has not read yet. Later its caller no longer waits for it.
   */
  async send(key: Buffer, args: readonly RedisArgument[]): Promise<unknown> {
    const slot = slotOf(key);
    const repeatUntilMs = performance.now() + this.#options.readTimeoutMs / 2;
    if (!this.#servers.get(this.#owners[slot]!)?.isReady) await this.#refreshAfterError();
    let address = this.#owners[slot];
    let isAsking = false;
    for (let redirections = 0; ; ) {
      if (address === undefined) throw new Error(`no server of the cluster owns slot ${slot}`);
      try {
        const reply = await this.#sendTo(address, args, isAsking);
        if (this.#down.size > 0) this.#down.delete(address);
        return reply;
      } catch (error) {
        const [kind, , to = ""] = (error as Error).message.split(" ");
        if (kind === "CLUSTERDOWN" && this.#isBrieflyDown(address) && performance.now() < repeatUntilMs) {
          this.#refreshAfterError().catch(() => undefined); // others may name a new primary already
          await delay(jitter(retryMs), undefined, { ref: false });
          [address, isAsking] = [this.#owners[slot], false];
          continue;
        }
        const isRedirected = kind === "MOVED" || kind === "ASK";
        const isLost = error instanceof LostReplyError;
        if (!(isRedirected || isLost) || redirections++ === mostRedirections) throw error;
        const from = address;
        if (isLost) {
          address = await this.#successorOf(from, slot, repeatUntilMs);
          if (address === undefined) throw error;
          isAsking = false;
          continue;
        }
        address = to.startsWith(":") ? hostOf(from) + to : to; // an empty host means the queried server
        isAsking = kind === "ASK";
        if (!isAsking) this.#moveSlot(slot, from, address);
      }
    }
  }

  masters(): RedisNode[] {
    return this.#primaries().map((address) => ({
      send: (args) => withTimeout(this.#options.readTimeoutMs, this.#sendTo(address, args, false)),
      owns: (key) => this.#owners[slotOf(key)] === address,
    }));
  }

  /**
   * Subscribes at the primary of the channel's slot, to which messages are sent, because that one then counts the subscriber. Any other
   * gets the messages too, and is used if that one, or the connection, is lost.
   */
  async subscribe(channel: string, receive: (message: Buffer) => void): Promise<() => void> {
    let isClosed = false;
    let close = (): void => undefined;
    const open = async (): Promise<void> => {
      let problem: unknown;
      const owner = this.#owners[slotOf(Buffer.from(channel))] ?? [];
      for (const address of new Set([owner, this.#primaries(), this.#options.roots].flat())) {
        try {
          close = await this.#options.subscribe(hostOf(address), portOf(address), channel, receive, onLost);
          if (isClosed) close();
          return;
        } catch (error) {
          problem = error;
        }
      }
      throw problem;
    };
    const onLost = (): void => {
      if (isClosed) return;
      setTimeout(() => void open().catch(onLost), jitter(refreshMs)).unref();
    };
    await open();
    return () => {
      isClosed = true;
      close();
    };
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
    try {
      return await server.send(args);
    } catch (error) {
      throw server.isReady ? error : new LostReplyError(error as Error);
    }
  }

  #serverAt(address: string): ServerConnection {
    let server = this.#servers.get(address);
    if (!server) {
      if (this.#isClosed) throw new Error("closed");
      server = this.#options.open(hostOf(address), portOf(address));
      server.opened.catch(() => undefined);
      this.#servers.set(address, server);
    }
    return server;
  }

  #refusalOf(addresses: readonly string[]): Error | undefined {
    return addresses.map((address) => this.#servers.get(address)?.refusal).find((error) => error);
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

  /** Asks all connected servers for the owners of the slots. @throws Error if the servers refuse that */
  #refreshSlots(): Promise<void> {
    this.#refreshing ??= this.#queryServers().finally(() => {
      this.#refreshing = undefined;
    });
    return this.#refreshing;
  }

  /**
   * Returns the new primary of a slot whose former primary's connection is broken; undefined if the slot has no other primary, or it
   * is too late.
   */
  async #successorOf(former: string, slot: number, untilMs: number): Promise<string | undefined> {
    const isLate = (): boolean => this.#isClosed || performance.now() >= untilMs;
    if (isLate()) return undefined;
    await this.#refreshing?.catch(() => undefined); // it may have asked before the failover
    await this.#refreshSlots().catch(() => undefined);
    const owner = this.#owners[slot];
    return owner === former || isLate() ? undefined : owner;
  }

  /** Notes that the cluster is down for a server. Returns whether that began only recently. */
  #isBrieflyDown(address: string): boolean {
    const until = this.#down.get(address) ?? performance.now() + this.#options.readTimeoutMs / 2;
    this.#down.set(address, until);
    return performance.now() < until && !this.#isClosed;
  }

  /** Notes that a server has redirected the commands of a slot, and refreshes the others. */
  #moveSlot(slot: number, from: string, to: string): void {
    this.#owners[slot] = to;
    if (from !== to) {
      this.#moves.set(slot, { from, untilMs: performance.now() + this.#options.readTimeoutMs });
    }
    // A refresh in progress may have asked before the move.
    Promise.resolve(this.#refreshing)
      .then(() => this.#refreshSlots())
      .catch(() => undefined);
  }

  /** Returns whether a view names a server that has redirected the slot since. */
  #isOutdated({ owners }: View): boolean {
    for (const [slot, { from, untilMs }] of this.#moves) {
      if (performance.now() >= untilMs) this.#moves.delete(slot);
      else if (owners[slot] === from) return true;
    }
    return false;
  }

  async #queryServers(): Promise<void> {
    const ready = (): string[] => [...this.#servers.keys()].filter((at) => this.#servers.get(at)!.isReady);
    if (ready().length === 0) {
      const roots = this.#options.roots.map((address) => this.#serverAt(address).opened);
      await withTimeout(this.#options.connectTimeoutMs, Promise.any(roots)).catch(() => undefined);
    }
    const all: View[] = [];
    const current = (): View[] => all.filter((view) => !this.#isOutdated(view));
    const asked = ready();
    const agreed = Promise.withResolvers<void>();
    const refusals: Error[] = [];
    const replies = asked.map(async (address) => {
      const reply = this.#servers.get(address)!.send(["CLUSTER", "SLOTS"]);
      reply.catch((error) => {
        if (isRefusal(error)) refusals.push(error);
      });
      const view = viewIn((await withTimeout(this.#options.readTimeoutMs, reply)) as SlotRange[], address);
      all.push(view);
      if (current().filter((other) => other.text === view.text).length > asked.length / 2) agreed.resolve();
    });
    await Promise.race([Promise.allSettled(replies), agreed.promise]);
    const views = current();
    if (this.#isClosed) return;
    if (all.length === 0) {
      const refusal = refusals[0] ?? this.#refusalOf(this.#options.roots);
      if (refusal !== undefined) throw refusal;
    }
    if (views.length === 0) return;
    this.#owners = [...mostCommon(views).owners];
    const primaries = this.#primaries();
    for (const address of primaries) this.#serverAt(address);
    for (const [address, server] of this.#servers)
      if (!primaries.includes(address)) this.#release(address, server);
  }

  /** Releases a server that owns no slots, after its pending replies. */
  #release(address: string, server: ServerConnection): void {
    this.#servers.delete(address);
    this.#down.delete(address);
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

function portOf(address: string): number {
  return Number(address.slice(address.lastIndexOf(":") + 1));
}

/** Returns a time from half of `ms` to `ms`. */
function jitter(ms: number): number {
  return ms / 2 + (Math.random() * ms) / 2;
}

/** Reads the reply of one server to CLUSTER SLOTS. */
function viewIn(ranges: readonly SlotRange[], asked: string): View {
  const owners: (string | undefined)[] = [];
  const texts = ranges.map(([from, to, [host, port]]) => {
    const owner = `${host?.toString() || hostOf(asked)}:${port}`;
    for (let slot = from; slot <= to; slot++) owners[slot] = owner;
    return `${from} ${to} ${owner}`;
  });
  return { owners, text: texts.sort().join() };
}

/** Returns the most common view, so that the majority outvotes an isolated or outdated server. */
function mostCommon(views: readonly View[]): View {
  const votes = ({ text }: View): number => views.filter((other) => other.text === text).length;
  return [...views].sort((a, b) => votes(b) - votes(a))[0]!;
}
