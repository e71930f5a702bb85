import { setTimeout as delay } from "node:timers/promises";
import { TimeoutError, withTimeout } from "../../lib/with-timeout.ts";
import { slotOf } from "./key-slot.ts";
import type { RedisArgument, RedisNode, RedisPort } from "./redis-port.ts";

/** A connection to one server, which reconnects by itself until it is destroyed. */
export interface ServerConnection extends RedisNode {
  readonly isReady: boolean;
  /** Resolves with its first connection; rejects when it is destroyed, or when its first attempt has failed. */
  readonly opened: Promise<unknown>;
  destroy(): void;
}

export interface ClusterOptions {
  /** `host:port` of servers that are asked who belongs to the cluster, while none is connected. */
  roots: readonly string[];
  open(host: string, port: number): ServerConnection;
  connectTimeoutMs: number;
  /** After it a server that is asked counts as silent, and one that is let go has answered what it was sent. */
  readTimeoutMs: number;
}

/** Redirections that one command follows. */
const mostRedirections = 5;
/** Milliseconds between two looks at who has the slots, while one of those is not connected; half of it is random. */
const lookMs = 500;

/** `[from, to, [host, port, ...], ...replicas]` */
type SlotRange = [number, number, [Buffer | null, number]];

/**
 * Speaks to the primaries of a cluster. Nothing here waits for a server that does not answer, but what is meant for it:
 * after a failover some still name the dead primary, and the others are to be used, and asked, all the same.
 */
export class ClusterConnection implements RedisPort {
  readonly isCluster = true;
  readonly #options: ClusterOptions;
  readonly #servers = new Map<string, ServerConnection>();
  readonly #retired = new Map<ServerConnection, NodeJS.Timeout>();
  /** Address of each slot's primary. */
  #owners: (string | undefined)[] = [];
  #looking: Promise<void> | undefined;
  #soughtMs = Number.NEGATIVE_INFINITY;
  #isClosed = false;

  constructor(options: ClusterOptions) {
    this.#options = options;
  }

  /**
   * Looks who has the slots until all of those are connected.
   * @throws Error that names who is not, when the time for it is over
   */
  async connect(): Promise<void> {
    const until = performance.now() + this.#options.connectTimeoutMs;
    for (;;) {
      await this.#look();
      const primaries = this.#primaries();
      const opened = primaries.map((address) => this.#serverAt(address).opened);
      await withTimeout(lookMs, Promise.allSettled(opened)).catch(() => undefined);
      const missing = primaries.filter((address) => !this.#servers.get(address)?.isReady);
      if (missing.length === 0 && primaries.length > 0) return;
      if (this.#isClosed || performance.now() >= until) {
        throw new Error(`no connection to ${missing.join(", ") || this.#options.roots.join(", ")}`);
      }
      await delay(lookMs / 2 + (Math.random() * lookMs) / 2, undefined, { ref: false });
    }
  }

  /** Sends one command to the primary of `key`, and after it where that says it has gone. */
  async send(key: Buffer, args: readonly RedisArgument[]): Promise<unknown> {
    const slot = slotOf(key);
    if (!this.#servers.get(this.#owners[slot]!)?.isReady) await this.#lookForAnother();
    let address = this.#owners[slot];
    let isAsking = false;
    for (let redirections = 0; ; redirections++) {
      if (address === undefined) throw new Error(`no server of the cluster has slot ${slot}`);
      try {
        return await this.#sendTo(address, args, isAsking);
      } catch (error) {
        const [kind, , to = ""] = (error as Error).message.split(" ");
        if ((kind !== "MOVED" && kind !== "ASK") || redirections === mostRedirections) throw error;
        address = to.startsWith(":") ? hostOf(address) + to : to; // no host: the one that was asked
        isAsking = kind === "ASK";
        if (!isAsking) {
          this.#owners[slot] = address;
          this.#look().catch(() => undefined);
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
      if (!server.isReady) continue; // it is at it
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
    primaries.delete(undefined); // of slots that nobody has
    return [...primaries] as string[];
  }

  /** A primary that was restarted after it had handed over is gone before anybody was told who has its slots. */
  async #lookForAnother(): Promise<void> {
    if (performance.now() < this.#soughtMs + lookMs) return this.#looking;
    this.#soughtMs = performance.now();
    await this.#look();
  }

  /** Asks all that are connected who has the slots. */
  #look(): Promise<void> {
    this.#looking ??= this.#ask().finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }

  async #ask(): Promise<void> {
    const ready = (): string[] => [...this.#servers.keys()].filter((at) => this.#servers.get(at)!.isReady);
    if (ready().length === 0) {
      const roots = this.#options.roots.map((address) => this.#serverAt(address).opened);
      await withTimeout(this.#options.connectTimeoutMs, Promise.any(roots)).catch(() => undefined);
    }
    const views: string[] = [];
    const asked = ready();
    const agreed = Promise.withResolvers<void>();
    const answers = asked.map(async (address) => {
      const reply = this.#servers.get(address)!.send(["CLUSTER", "SLOTS"]);
      const view = viewIn((await withTimeout(this.#options.readTimeoutMs, reply)) as SlotRange[], address);
      views.push(view);
      if (views.filter((other) => other === view).length > asked.length / 2) agreed.resolve();
    });
    await Promise.race([Promise.allSettled(answers), agreed.promise]);
    if (views.length === 0 || this.#isClosed) return;
    this.#owners = [];
    for (const range of mostCommon(views).split(",")) {
      const [from, to, owner] = range.split(" ");
      for (let slot = Number(from); slot <= Number(to); slot++) this.#owners[slot] = owner;
    }
    const primaries = this.#primaries();
    for (const address of primaries) this.#serverAt(address);
    for (const [address, server] of this.#servers)
      if (!primaries.includes(address)) this.#retire(address, server);
  }

  /** Lets go of a server that has no slots (any more), once it has answered what it was sent. */
  #retire(address: string, server: ServerConnection): void {
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

/** What one server says, as text that is the same for servers that agree: `from to host:port,...` */
function viewIn(ranges: readonly SlotRange[], asked: string): string {
  const owners = ranges.map(
    ([from, to, [host, port]]) => `${from} ${to} ${host?.toString() || hostOf(asked)}:${port}`,
  );
  return owners.sort().join();
}

/** One that is cut off, or behind, is outvoted by the rest. */
function mostCommon(views: readonly string[]): string {
  const votes = (view: string): number => views.filter((other) => other === view).length;
  return [...views].sort((a, b) => votes(b) - votes(a))[0]!;
}
