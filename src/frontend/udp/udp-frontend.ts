import { createHash, randomBytes } from "node:crypto";
import { aborted } from "../../lib/aborted.ts";
import type { Clock } from "../../lib/clock.ts";
import type { TrackerLogic } from "../../middleware/logic.ts";
import { bindAll } from "../../net/bind-all.ts";
import { formatUrl } from "../../net/bind-error.ts";
import { type DatagramOptions, type DatagramSocket, defaultReceiveBuffer } from "../../net/datagram.ts";
import { bindDatagram } from "../../net/portable/datagram.ts";
import type { Metrics } from "../../observability/metrics.ts";
import type { RequestReporter } from "../../observability/observer.ts";
import { ConnectionIds } from "../../protocol/udp/connection-id.ts";
import type { Frontend } from "../frontend.ts";
import { countKernelDrops, countTraffic } from "../traffic.ts";
import type { UdpOptions } from "./options.ts";
import { UdpHandler } from "./udp-handler.ts";

/** The collaborators of the UDP frontend. */
export interface UdpFrontendDeps {
  logic: TrackerLogic;
  clock: Clock;
  /** Reports requests to the observers; without it, requests are not reported. */
  requests?: RequestReporter;
  /** Registers the counters of bytes and drops; without it, they are not counted. */
  metrics?: Metrics;
  /** Called for errors of the sockets and for unexpected errors. */
  onError: (error: Error) => void;
  /** Called if `::` is not bound because the system has no IPv6. */
  onMissing?: (error: Error) => void;
  /** Called if the system grants smaller receive buffers than requested; sizes in bytes. */
  onSmallBuffer?: (granted: number, wanted: number) => void;
  /** Binds an address; default: through node:dgram. */
  bind?: (options: DatagramOptions) => Promise<DatagramSocket>;
}

interface Bound {
  url: string;
  socket: DatagramSocket;
}

/**
 * Serves the UDP tracker protocol (BEP 15, BEP 41) on one or more addresses of either family.
 *
 * An address without a valid connection id gets only a connect response (as large as the request) or `bad connection ID`
 * (smaller than the request). Datagrams that cannot be meant for a tracker are dropped.
 */
export class UdpFrontend implements Frontend {
  readonly name = "udp";
  readonly #deps: UdpFrontendDeps;
  readonly #ids: ConnectionIds;
  readonly #handler: UdpHandler;
  /** The options at the start, for values that a reload cannot change. */
  readonly #options: UdpOptions;
  #bound: Bound[] = [];
  #started: Promise<void> | undefined;
  #stopped: Promise<void> | undefined;

  constructor(options: UdpOptions, deps: UdpFrontendDeps) {
    this.#options = options;
    this.#deps = deps;
    this.#ids = new ConnectionIds(deriveKey(options.privateKey), options.maxClockSkew);
    const traffic = deps.metrics && countTraffic(deps.metrics, "udp");
    this.#handler = new UdpHandler(options, { ...deps, ids: this.#ids, traffic });
  }

  start(): Promise<void> {
    this.#started ??= this.#bindAll();
    return this.#started;
  }

  urls(): string[] {
    return this.#bound.map(({ url }) => url);
  }

  stop(deadline: AbortSignal): Promise<void> {
    this.#stopped ??= this.#stop(deadline);
    return this.#stopped;
  }

  /** Prepares a reload. @returns a function that applies the options @throws RangeError for an invalid route */
  prepare(options: UdpOptions): () => void {
    const apply = this.#handler.prepare(options);
    return () => {
      apply();
      this.#ids.setMaxClockSkew(options.maxClockSkew);
    };
  }

  async #bindAll(): Promise<void> {
    const { bind = bindDatagram, metrics, onError, onMissing } = this.#deps;
    const { listen, receiveBuffer = defaultReceiveBuffer } = this.#options;
    this.#bound = await bindAll(
      listen,
      async ({ host, port }) => {
        const socket = await bind({ host, port, receiveBuffer, handler: this.#handler, onError });
        return { url: formatUrl("udp", host, socket.port), socket };
      },
      ({ socket }) => socket.close(),
      onMissing,
    );
    for (const { url, socket } of this.#bound)
      if (metrics) countKernelDrops(metrics, url, () => socket.countDrops());
    const granted = Math.min(...this.#bound.map(({ socket }) => socket.receiveBuffer));
    if (granted < receiveBuffer) this.#deps.onSmallBuffer?.(granted, receiveBuffer);
  }

  async #stop(deadline: AbortSignal): Promise<void> {
    this.#handler.isStopping = true;
    await this.#started?.catch(() => undefined);
    await Promise.race([this.#handler.drained(), aborted(deadline)]);
    await Promise.all(this.#bound.map(({ socket }) => socket.close()));
    this.#handler.giveUp();
  }
}

/** Derives the key of the connection ids from a secret of any length; without a secret, draws a random key. */
function deriveKey(secret: string): Uint8Array {
  return secret === "" ? randomBytes(16) : createHash("sha256").update(secret).digest().subarray(0, 16);
}
