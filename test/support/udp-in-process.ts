import { udp } from "../../src/frontend/udp/index.ts";
import type { UdpOptions } from "../../src/frontend/udp/options.ts";
import { UdpFrontend } from "../../src/frontend/udp/udp-frontend.ts";
import { Address, type Family } from "../../src/ip/address.ts";
import type { Clock } from "../../src/lib/clock.ts";
import type { TrackerLogic } from "../../src/middleware/logic.ts";
import {
  DatagramBatch,
  type DatagramHandler,
  type DatagramSocket,
  datagramCapacity,
} from "../../src/net/datagram.ts";
import { Metrics } from "../../src/observability/metrics.ts";
import { createAnnounceRequest, createConnectRequest } from "../../src/protocol/udp/client.ts";
import { reporterOf } from "./observed.ts";
import { udpOptions } from "./udp.ts";

const prefix = { 4: "192.0.2.", 6: "2001:db8::" } as const;

/** A whole UDP frontend with a simulated socket: each slot of a batch is a client with its own address. */
export class UdpInProcess {
  readonly batch: DatagramBatch;
  readonly family: Family;
  /** Called with responses that are sent after their batch. */
  onSend: (answer: Uint8Array) => void = () => undefined;
  readonly #handler: DatagramHandler;
  readonly #socket: DatagramSocket;

  private constructor(slots: number, family: Family, handler: DatagramHandler, socket: DatagramSocket) {
    this.family = family;
    this.#handler = handler;
    this.#socket = socket;
    this.batch = new DatagramBatch(
      slots,
      new Uint8Array(2 * slots * datagramCapacity),
      Array.from({ length: slots }, (_, slot) => Address.parse(`${prefix[family]}${slot + 1}`)),
    );
    this.batch.port.fill(1234);
  }

  static async start(
    slots: number,
    logic: TrackerLogic,
    clock: Clock,
    options: Partial<UdpOptions> = {},
    family: Family = 4,
  ): Promise<UdpInProcess> {
    let inProcess: UdpInProcess | undefined;
    const socket: DatagramSocket = {
      port: 6969,
      receiveBuffer: 8 << 20,
      countDrops: () => 0,
      replyPath: () => (bytes, start, end) => inProcess?.onSend(bytes.slice(start, end)),
      close: () => Promise.resolve(),
    };
    const bound = Promise.withResolvers<DatagramHandler>();
    const onError = (error: Error) => {
      throw error;
    };
    const bind = ({ handler }: { handler: DatagramHandler }) => {
      bound.resolve(handler);
      return Promise.resolve(socket);
    };
    const deps = { logic, clock, requests: reporterOf(udp, new Metrics()), onError, bind };
    await new UdpFrontend({ ...udpOptions, ...options }, deps).start();
    inProcess = new UdpInProcess(slots, family, await bound.promise, socket);
    return inProcess;
  }

  /** Writes a request into a slot. */
  put(slot: number, packet: Uint8Array): void {
    this.batch.bytes.set(packet, this.batch.inAt(slot));
    this.batch.length[slot] = packet.length;
  }

  /** Connects the client of every slot, and writes an announce for 30 peers of one torrent into each slot. */
  connectAndAnnounce(urlData = "/announce"): void {
    const { capacity, view } = this.batch;
    for (let slot = 0; slot < capacity; slot++) this.put(slot, createConnectRequest(slot));
    this.handle(capacity);
    for (let slot = 0; slot < capacity; slot++) {
      const packet = createAnnounceRequest({
        connectionId: view.getBigUint64(this.batch.outAt(slot) + 8),
        transactionId: slot,
        infoHash: new Uint8Array(20).fill(7),
        peerId: Buffer.from("-TR4060-6wfG2wk6wWLc"),
        left: BigInt(slot % 3),
        numWant: 30,
        port: 6881,
        urlData,
      });
      this.put(slot, packet);
    }
  }

  /** Handles the requests in the first `count` slots. */
  handle(count: number): void {
    this.#handler.handleBatch(this.#socket, this.batch, count, this.family);
    this.#handler.afterBatch();
  }
}
