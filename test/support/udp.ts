import assert from "node:assert/strict";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import type { AnnounceRequest, AnnounceResponse } from "../../src/bittorrent/announce.ts";
import { compactLength } from "../../src/bittorrent/peer-list.ts";
import type { ScrapeRequest, ScrapeResponse } from "../../src/bittorrent/scrape.ts";
import { udpDefaults } from "../../src/frontend/udp/index.ts";
import type { UdpOptions } from "../../src/frontend/udp/options.ts";
import type { Family } from "../../src/ip/address.ts";
import { createConnectRequest, parseResponse, type UdpResponse } from "../../src/protocol/udp/client.ts";
import type { PeerStore, StoreStatistics } from "../../src/storage/peer-store.ts";

export const udpOptions: UdpOptions = {
  ...udpDefaults,
  listen: [{ host: "127.0.0.1", port: 0 }],
  privateKey: "a secret",
  maxClockSkew: 0,
};

/** A store without peers of its own: it returns as many peers as a client wants, and records the requests. */
export class EndlessStore implements PeerStore {
  /** The announces: `infohash event peerid@address:port numwant`. */
  readonly announces: string[] = [];
  readonly scrapes: number[] = [];
  /** If set, each response waits for this promise. */
  gate: Promise<void> | undefined;

  announce(request: AnnounceRequest, response: AnnounceResponse): void | Promise<void> {
    this.announces.push(
      `${request} event ${request.event} numwant ${request.numWant} seeder ${request.isSeeder}`,
    );
    if (this.gate) return this.gate.then(() => this.#select(request, response));
    this.#select(request, response);
  }

  #select(request: AnnounceRequest, response: AnnounceResponse): void {
    response.complete = 3;
    response.incomplete = 5;
    for (const list of [response.peers4, response.peers6]) {
      list.count = Math.min(list.limit, request.numWant);
      list.bytes.fill(0xab, list.at, list.at + list.count * compactLength[list.family]);
    }
  }

  scrape(request: ScrapeRequest, response: ScrapeResponse): void | Promise<void> {
    this.scrapes.push(request.count);
    if (this.gate) return this.gate.then(() => this.#count(request, response));
    this.#count(request, response);
  }

  #count(request: ScrapeRequest, response: ScrapeResponse): void {
    for (let i = 0; i < request.count; i++) response.set(i, i, 2, 3, 0);
  }

  remove(): void {}

  statistics(): StoreStatistics {
    return { swarms: 0, seeders: 0, leechers: 0, peers4: 0, peers6: 0, refused: 0 };
  }
  swarms(): [] {
    return [];
  }
  expire(): number {
    return 0;
  }
  start(): void {}
  stop(): void {}
}

/** A UDP client on loopback. It waits for responses, not for time. */
export class UdpClient {
  readonly family: Family;
  readonly #socket: Socket;
  readonly #port: number;
  readonly #host: string;

  private constructor(socket: Socket, family: Family, port: number, host: string) {
    this.#socket = socket;
    this.family = family;
    this.#port = port;
    this.#host = host;
  }

  /** @param from  source address; default: the system chooses */
  static async open(family: Family, port: number, from?: string): Promise<UdpClient> {
    const socket = createSocket(family === 4 ? "udp4" : "udp6");
    socket.bind(0, from ?? (family === 4 ? "127.0.0.1" : "::1"));
    await once(socket, "listening");
    return new UdpClient(socket, family, port, family === 4 ? "127.0.0.1" : "::1");
  }

  get port(): number {
    return this.#socket.address().port;
  }

  send(packet: Uint8Array, host: string = this.#host): void {
    this.#socket.send(packet, this.#port, host);
  }

  /** Waits for the next datagram; `from` is its source. */
  async receive(): Promise<{ bytes: Uint8Array; from: string }> {
    const [bytes, remote] = (await once(this.#socket, "message")) as [Uint8Array, { address: string }];
    return { bytes: new Uint8Array(bytes), from: remote.address };
  }

  async exchange(packet: Uint8Array): Promise<Uint8Array> {
    const answer = this.receive();
    this.send(packet);
    return (await answer).bytes;
  }

  async ask(packet: Uint8Array): Promise<UdpResponse> {
    const bytes = await this.exchange(packet);
    const answer = parseResponse(bytes, this.family);
    assert.ok(answer, `not an answer: ${Buffer.from(bytes).toString("hex")}`);
    return answer;
  }

  async connect(): Promise<bigint> {
    const answer = await this.ask(createConnectRequest(0x636f6e6e));
    assert.equal(answer.action, "connect");
    return (answer as Extract<UdpResponse, { action: "connect" }>).connectionId;
  }

  /** Sends a packet, and checks that it gets no response: the next response belongs to a later connect request. */
  async expectSilence(packet: Uint8Array): Promise<void> {
    this.send(packet);
    const answer = await this.ask(createConnectRequest(0x73696c65));
    assert.deepEqual([answer.action, answer.transactionId], ["connect", 0x73696c65]);
  }

  close(): void {
    this.#socket.close();
  }
}
