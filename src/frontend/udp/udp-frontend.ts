import { createHash, randomBytes } from "node:crypto";
import { aborted } from "../../lib/aborted.ts";
import type { Clock } from "../../lib/clock.ts";
import type { TrackerLogic } from "../../middleware/logic.ts";
import { bindAll } from "../../net/bind-all.ts";
import { formatUrl } from "../../net/bind-error.ts";
import { type DatagramOptions, type DatagramSocket, defaultReceiveBuffer } from "../../net/datagram.ts";
import { bindDatagram } from "../../net/portable/datagram.ts";
import type { Metrics } from "../../observability/metrics.ts";
import { ConnectionIds } from "../../protocol/udp/connection-id.ts";
import type { Frontend } from "../frontend.ts";
import type { UdpOptions } from "./options.ts";
import { UdpHandler } from "./udp-handler.ts";

/** What the UDP frontend works with. */
export interface UdpFrontendDeps {
  logic: TrackerLogic;
  clock: Clock;
  metrics: Metrics;
  /** Hears of errors of the sockets, and of any that should not happen. */
  onError: (error: Error) => void;
  /** Hears of `::` where it was left out, because the system has no IPv6. */
  onMissing?: (error: Error) => void;
  /** Hears that the system grants smaller receive buffers than were asked for, both in bytes. */
  onSmallBuffer?: (granted: number, wanted: number) => void;
  /** How addresses are bound; default: through node:dgram. */
  bind?: (options: DatagramOptions) => Promise<DatagramSocket>;
}

interface Bound {
  url: string;
  socket: DatagramSocket;
}

/**
 * The UDP tracker protocol (BEP 15, BEP 41) on one or more addresses of either family.
 *
 * Nothing is sent to an address that has not shown a valid connection id, except a connect response (as large as its
 * request) and `bad connection ID` (smaller than its request). What cannot be meant for a tracker gets silence.
 */
export class UdpFrontend implements Frontend {
  readonly name = "udp";
  readonly #deps: UdpFrontendDeps;
  readonly #ids: ConnectionIds;
  readonly #handler: UdpHandler;
  /** As it was started: what of it a reload cannot change. */
  readonly #options: UdpOptions;
  #bound: Bound[] = [];
  #started: Promise<void> | undefined;
  #stopped: Promise<void> | undefined;

  constructor(options: UdpOptions, deps: UdpFrontendDeps) {
    this.#options = options;
    this.#deps = deps;
    this.#ids = new ConnectionIds(deriveKey(options.privateKey), options.maxClockSkew);
    this.#handler = new UdpHandler(options, { ...deps, ids: this.#ids });
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

  /** Makes what takes new options while it runs. @throws RangeError for a route that cannot be used */
  prepare(options: UdpOptions): () => void {
    const take = this.#handler.prepare(options);
    return () => {
      take();
      this.#ids.setMaxClockSkew(options.maxClockSkew);
    };
  }

  async #bindAll(): Promise<void> {
    const { bind = bindDatagram, onError, onMissing } = this.#deps;
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
    const granted = Math.min(...this.#bound.map(({ socket }) => socket.receiveBuffer));
    if (granted < receiveBuffer) this.#deps.onSmallBuffer?.(granted, receiveBuffer);
  }

  async #stop(deadline: AbortSignal): Promise<void> {
    this.#handler.isStopping = true;
    await this.#started?.catch(() => undefined);
    await Promise.race([this.#handler.drained(), aborted(deadline)]);
    await Promise.all(this.#bound.map(({ socket }) => socket.close()));
  }
}

/** A key for the connection ids from a secret of any length; a random one from none. */
function deriveKey(secret: string): Uint8Array {
  return secret === "" ? randomBytes(16) : createHash("sha256").update(secret).digest().subarray(0, 16);
}
