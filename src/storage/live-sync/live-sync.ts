import { createSocket, type Socket } from "node:dgram";
import { AnnounceRequest, AnnounceResponse } from "../../bittorrent/announce.ts";
import { AnnounceEvent } from "../../bittorrent/event.ts";
import { PeerList } from "../../bittorrent/peer-list.ts";
import { Address, type Family } from "../../ip/address.ts";
import { Networks } from "../../ip/networks.ts";
import type { Clock } from "../../lib/clock.ts";
import { drawKeys, hashKeys, hashWords } from "../../lib/keyed-hash.ts";
import type { Logger } from "../../observability/logger.ts";
import type { Counter, Metrics } from "../../observability/metrics.ts";
import { type PeerStore, Step } from "../peer-store.ts";
import { type LiveSyncOptions, parseGroup } from "./options.ts";
import { PacketWriter, PeerFlag, type ReceivedPeer, readPacket } from "./packet.ts";

/** Maximum milliseconds that a record waits for others. */
const flushMs = 15_000;
/** Seconds after which a peer that still announces is sent again. */
const repeatAfter = 600;
/** Peers that a thread remembers to have sent; a peer that another one has displaced is sent again. */
const remembered = 2 ** 17;
/** Words of a remembered peer: a hash, and when it was sent. */
const stride = 2;

/** The collaborators of live sync. */
export interface LiveSyncDeps {
  readonly store: PeerStore;
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly logger: Logger;
  /** Whether this thread receives. Every thread sends. */
  readonly isFirst: boolean;
  /** A word that all threads share: the id of the tracker. */
  readonly identity: Int32Array;
  /** Whether the tracker refuses a received peer, as it refuses the peer's announce for its torrent or its address. */
  refuses(request: AnnounceRequest, response: AnnounceResponse): boolean;
}

const dropReasons = ["sender", "malformed", "type", "own", "peer", "refused", "send"] as const;
type DropReason = (typeof dropReasons)[number];

/**
 * Exchanges peers with other trackers by opentracker's live sync: a posthook sends the peers of announces to a multicast
 * group, and one thread stores the peers that the group sends, unless this tracker refuses them. Received peers are not sent on.
 */
export class LiveSync {
  readonly name = "live sync";
  readonly #options: LiveSyncOptions;
  readonly #deps: LiveSyncDeps;
  readonly #group: ReturnType<typeof parseGroup>;
  readonly #nodes: Networks;
  readonly #trackerId: number;
  readonly #sent: Counter;
  readonly #received: Counter;
  readonly #dropped: Record<DropReason, Counter>;
  readonly #writers: Readonly<Record<Family, PacketWriter>>;
  readonly #keys: Int32Array = drawKeys(hashKeys(9));
  readonly #words = new Int32Array(9);
  readonly #memory = new Int32Array(stride * remembered);
  readonly #peer: ReceivedPeer = { infoHash: new Uint8Array(20), address: new Address(), port: 0, flags: 0 };
  readonly #request = new AnnounceRequest();
  readonly #response = new AnnounceResponse(emptyList(4), emptyList(6));
  readonly #source = new Address();
  #sender: Socket | undefined;
  #receiver: Socket | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isStopped = false;

  /** @throws RangeError for an invalid group or network */
  constructor(options: LiveSyncOptions, deps: LiveSyncDeps) {
    const { metrics, identity } = deps;
    this.#options = options;
    this.#deps = deps;
    this.#group = parseGroup(options.group);
    this.#nodes = Networks.parse(options.nodes);
    Atomics.compareExchange(identity, 0, 0, drawKeys(1)[0]! | 1);
    this.#trackerId = Atomics.load(identity, 0) >>> 0;
    this.#writers = { 4: new PacketWriter(4, this.#trackerId), 6: new PacketWriter(6, this.#trackerId) };
    const peers = (direction: string) =>
      metrics.counter("chihaya_livesync_peers_total", "Peers that live sync has exchanged", { direction });
    this.#sent = peers("sent");
    this.#received = peers("received");
    const drop = (reason: DropReason) =>
      metrics.counter("chihaya_livesync_dropped_total", "Packets and peers that live sync has dropped", {
        reason,
      });
    this.#dropped = Object.fromEntries(dropReasons.map((reason) => [reason, drop(reason)])) as Record<
      DropReason,
      Counter
    >;
  }

  /** Opens the sockets. Rejects with a message that names the group if that is impossible. */
  async start(): Promise<void> {
    try {
      this.#sender = await this.#open(0);
      this.#configure(this.#sender);
      if (this.#deps.isFirst) await this.#receive();
    } catch (cause) {
      this.stop();
      const { message } = cause as Error;
      throw new Error(`cannot use the group ${this.#options.group}: ${message}`, { cause });
    }
  }

  /** Sends what waits, and closes the sockets. Idempotent. */
  stop(): void {
    if (this.#isStopped) return;
    this.#isStopped = true;
    clearTimeout(this.#timer);
    this.#flush();
    this.#receiver?.close();
    const sender = this.#sender;
    this.#sender = undefined;
    if (sender !== undefined) setImmediate(() => sender.close()); // after the packets
  }

  /** Adds the peer of an announce to the next packet, if the others do not know the peer already. */
  handleAnnounce(request: AnnounceRequest): void {
    if (request.kind === "web") return; // other trackers cannot reach its socket
    this.#offer(request, request.address);
    if (request.hasOtherAddress) this.#offer(request, request.otherAddress);
  }

  #offer(request: AnnounceRequest, address: Address): void {
    const { event, isSeeder, infoHash, port } = request;
    if (!this.#isNews(request, address)) return;
    const flags =
      (event === AnnounceEvent.stopped ? PeerFlag.stopped : 0) |
      (event === AnnounceEvent.completed ? PeerFlag.completed : 0) |
      (isSeeder ? PeerFlag.seeder : 0);
    const writer = this.#writers[address.family];
    writer.add(infoHash, address, port, flags);
    this.#sent.inc();
    if (writer.isFull) this.#send(writer);
    else if (this.#timer === undefined) this.#timer = setTimeout(() => this.#flush(), flushMs).unref();
  }

  /** Whether a peer is new, has changed, or was sent long ago. Never allocates. */
  #isNews({ infoHashWords, port, event, isSeeder }: AnnounceRequest, address: Address): boolean {
    const words = this.#words;
    for (let i = 0; i < 5; i++) words[i] = infoHashWords[i]!;
    for (let i = 0; i < 4; i++) words[5 + i] = address.words[i]!;
    const hash = hashWords(words, 0, 9, port, this.#keys, 0);
    const at = stride * (hash & (remembered - 1));
    const { seconds } = this.#deps.clock;
    const role = isSeeder ? 1 : 0;
    const mark = (hash & ~1) | role;
    const memory = this.#memory;
    const isKnown = memory[at] === mark && seconds - memory[at + 1]! < repeatAfter;
    const isEnd = event === AnnounceEvent.stopped;
    if (isKnown && !isEnd && event !== AnnounceEvent.completed) return false;
    memory[at] = isEnd ? 0 : mark;
    memory[at + 1] = seconds;
    return true;
  }

  #flush(): void {
    this.#timer = undefined;
    for (const writer of [this.#writers[4], this.#writers[6]]) if (!writer.isEmpty) this.#send(writer);
  }

  #send(writer: PacketWriter): void {
    const { host, port } = this.#group;
    const packet = writer.take();
    if (this.#sender === undefined) return;
    this.#sender.send(packet, port, host, (error) => {
      if (error) this.#dropped.send.inc();
    });
  }

  async #receive(): Promise<void> {
    const socket = await this.#open(this.#group.port);
    this.#receiver = socket;
    const { interface: local } = this.#options;
    const { host, family } = this.#group;
    socket.addMembership(host, ...(local === "" ? [] : [family === 4 ? local : `::%${local}`]));
    socket.on("message", (packet, { address }) => this.#take(packet, address));
  }

  /** Opens a socket. @param port  0 for one that sends */
  #open(port: number): Promise<Socket> {
    const { family } = this.#group;
    const type = family === 4 ? ({ type: "udp4" } as const) : ({ type: "udp6", ipv6Only: true } as const);
    const socket = createSocket({ ...type, reuseAddr: true });
    const local = family === 4 && port === 0 ? this.#options.interface : "";
    return new Promise((resolve, reject) => {
      socket.once("error", reject);
      socket.bind({ port, exclusive: true, ...(local !== "" && { address: local }) }, () => {
        socket.off("error", reject);
        socket.on("error", (err) => this.#deps.logger.error({ err }, "live sync"));
        socket.unref();
        resolve(socket);
      });
    });
  }

  #configure(socket: Socket): void {
    const { interface: local, ttl } = this.#options;
    socket.setMulticastTTL(ttl);
    socket.setMulticastLoopback(true); // other trackers on this machine receive too; own packets are dropped by their id
    if (local !== "") socket.setMulticastInterface(this.#group.family === 4 ? local : `::%${local}`);
  }

  #take(packet: Uint8Array, source: string): void {
    const sender = Address.parse(source.replace(/%.*/, ""));
    this.#source.copyFrom(sender);
    if (!this.#nodes.contains(this.#source)) {
      this.#dropped.sender.inc();
      return;
    }
    const problem = readPacket(packet, this.#trackerId, this.#peer, (peer) => this.#store(peer));
    if (problem !== undefined) this.#dropped[problem].inc();
  }

  #store({ infoHash, address, port, flags }: ReceivedPeer): void {
    if (port === 0 || !address.isUsable()) {
      this.#dropped.peer.inc();
      return;
    }
    // A store that responds later keeps the request.
    const isBusy = this.#isBusy;
    const request = isBusy ? new AnnounceRequest() : this.#request;
    const response = isBusy ? new AnnounceResponse(emptyList(4), emptyList(6)) : this.#response;
    request.infoHash.set(infoHash);
    request.address.copyFrom(address);
    request.port = port;
    request.numWant = 0;
    request.event =
      (flags & PeerFlag.stopped) !== 0
        ? AnnounceEvent.stopped
        : (flags & PeerFlag.completed) !== 0
          ? AnnounceEvent.completed
          : AnnounceEvent.none;
    request.left = (flags & PeerFlag.seeder) !== 0 ? 0n : 1n;
    if (this.#deps.refuses(request, response)) {
      this.#dropped.refused.inc();
      return;
    }
    this.#received.inc();
    const waiting = this.#deps.store.announce(request, response, Step.apply);
    if (waiting === undefined) return;
    this.#isBusy = true;
    waiting.catch(() => this.#dropped.peer.inc());
  }

  /** Whether the store keeps requests after its method has returned. */
  #isBusy = false;
}

function emptyList(family: Family): PeerList {
  return new PeerList(family, new Uint8Array(0));
}
