import { eventName } from "../bittorrent/event.ts";
import type { AnnounceParameters, AnnounceResult, SwarmCounts, Transport } from "./exchange.ts";
import { TrackerError } from "./tracker-error.ts";
import { WebSocketConnection } from "./websocket-connection.ts";

/** An offer that a client sends with an announce. */
export interface WebOffer {
  /** 20 bytes. */
  id: Uint8Array;
  sdp: string;
}

/** An offer or answer that the tracker relays from another peer. */
export interface WebRelay extends WebOffer {
  kind: "offer" | "answer";
  /** The peer that the offer or answer comes from. */
  peerId: Uint8Array;
}

/** A message of a tracker: any JSON object. */
interface Message {
  action?: unknown;
  answer?: unknown;
  files?: unknown;
  info_hash?: unknown;
  offer?: unknown;
  [key: string]: unknown;
}

/** Announces over a WebSocket of its own. The tracker forgets the peer as soon as the WebSocket is closed. */
export function announceOverWebSocket(
  url: URL,
  parameters: AnnounceParameters,
  transport: Transport,
): Promise<AnnounceResult> {
  return openSession(url, transport, (session) => session.announce(parameters));
}

/** Scrapes over a WebSocket of its own. */
export function scrapeOverWebSocket(
  url: URL,
  infoHashes: readonly Uint8Array[],
  transport: Transport,
): Promise<(SwarmCounts | undefined)[]> {
  return openSession(url, transport, (session) => session.scrape(infoHashes));
}

/** Opens a session, and closes it when `exchange` is over. */
export async function openSession<T>(
  url: URL,
  transport: Transport,
  exchange: (session: WebSocketSession) => Promise<T>,
): Promise<T> {
  const session = await WebSocketSession.open(url, transport);
  try {
    return await exchange(session);
  } finally {
    await session.close();
  }
}

/** A WebSocket to a tracker, with one exchange at a time. Its peers stay in their swarms while the session is open. */
export class WebSocketSession {
  readonly #connection: WebSocketConnection;
  /** Messages for a later exchange. */
  #early: Message[] = [];

  /** @throws TrackerError (the promise rejects) without a WebSocket */
  static async open(url: URL, transport: Transport): Promise<WebSocketSession> {
    return new WebSocketSession(await WebSocketConnection.open(url, transport));
  }

  private constructor(connection: WebSocketConnection) {
    this.#connection = connection;
  }

  /** Announces with `offers` for other peers, and returns the response. */
  async announce(parameters: AnnounceParameters, offers: readonly WebOffer[] = []): Promise<AnnounceResult> {
    const { infoHash, peerId, left, uploaded = 0n, downloaded = 0n, event = 0, numWant } = parameters;
    const fields = JSON.stringify({
      action: "announce",
      info_hash: toBinary(infoHash),
      peer_id: toBinary(peerId),
      numwant: numWant,
      event: event === 0 ? undefined : eventName(event),
      offers: offers.map(({ id, sdp }) => ({ offer: { type: "offer", sdp }, offer_id: toBinary(id) })),
    });
    // The counters have 64 bits, which a number has not.
    this.#connection.send(
      `${fields.slice(0, -1)},"uploaded":${uploaded},"downloaded":${downloaded},"left":${left}}`,
    );
    const response = await this.#find(
      (message) => message.info_hash === toBinary(infoHash) && !isRelay(message),
    );
    return readAnnounce(response);
  }

  /** Answers an offer that the tracker has relayed. The tracker sends no response. */
  answer(infoHash: Uint8Array, peerId: Uint8Array, offer: WebRelay, sdp: string): void {
    const message = {
      action: "announce",
      info_hash: toBinary(infoHash),
      peer_id: toBinary(peerId),
      to_peer_id: toBinary(offer.peerId),
      offer_id: toBinary(offer.id),
      answer: { type: "answer", sdp },
    };
    this.#connection.send(JSON.stringify(message));
  }

  /** Returns the next offer or answer that the tracker relays for a torrent. */
  async relayed(infoHash: Uint8Array): Promise<WebRelay> {
    const message = await this.#find((each) => each.info_hash === toBinary(infoHash) && isRelay(each));
    const kind = message.offer === undefined ? "answer" : "offer";
    const { sdp } = (message[kind] ?? {}) as { sdp?: unknown };
    if (typeof sdp !== "string") throw malformed(`"${kind}" without "sdp"`);
    return { kind, sdp, id: binary(message, "offer_id"), peerId: binary(message, "peer_id") };
  }

  /** Scrapes torrents. @returns the counts in the order of `infoHashes`; undefined for an infohash without counts */
  async scrape(infoHashes: readonly Uint8Array[]): Promise<(SwarmCounts | undefined)[]> {
    this.#connection.send(JSON.stringify({ action: "scrape", info_hash: infoHashes.map(toBinary) }));
    const { files } = await this.#find((message) => message.action === "scrape");
    if (typeof files !== "object" || files === null) throw malformed('"files" is missing');
    return infoHashes.map((infoHash) => {
      const name = toBinary(infoHash);
      const file: unknown = Object.hasOwn(files, name) ? (files as Message)[name] : undefined;
      if (typeof file !== "object" || file === null) return undefined;
      const downloaded = count(file as Message, "downloaded");
      return {
        complete: count(file as Message, "complete") ?? 0,
        incomplete: count(file as Message, "incomplete") ?? 0,
        ...(downloaded === undefined ? {} : { downloaded }),
      };
    });
  }

  /** Closes the WebSocket, and waits until the tracker has closed its side. */
  close(): Promise<void> {
    return this.#connection.close();
  }

  /** Returns the first message that `isWanted`; keeps the others. @throws TrackerError for a failure */
  async #find(isWanted: (message: Message) => boolean): Promise<Message> {
    const early = this.#early.findIndex(isWanted);
    if (early >= 0) return this.#early.splice(early, 1)[0]!;
    for (;;) {
      const message = parse(await this.#connection.receive());
      const reason = message["failure reason"];
      if (typeof reason === "string") throw new TrackerError("refused", reason);
      if (isWanted(message)) return message;
      this.#early.push(message);
    }
  }
}

function parse(text: string): Message {
  try {
    const message: unknown = JSON.parse(text);
    if (typeof message === "object" && message !== null) return message as Message;
  } catch (cause) {
    throw malformed("not JSON", cause);
  }
  throw malformed("not an object");
}

function isRelay(message: Message): boolean {
  return message.offer !== undefined || message.answer !== undefined;
}

function readAnnounce(response: Message): AnnounceResult {
  const interval = count(response, "interval");
  if (interval === undefined) throw malformed('"interval" is missing');
  const complete = count(response, "complete");
  const incomplete = count(response, "incomplete");
  const warning = response["warning message"];
  return {
    interval,
    peers: [],
    ...(complete === undefined ? {} : { complete }),
    ...(incomplete === undefined ? {} : { incomplete }),
    ...(typeof warning === "string" ? { warning } : {}),
  };
}

function count(message: Message, key: string): number | undefined {
  const value = message[key];
  return typeof value === "number" ? value : undefined;
}

/** Returns bytes as the messages have them: one character from U+0000 to U+00FF for each byte. */
function toBinary(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("latin1");
}

function binary(message: Message, key: string): Uint8Array {
  const value = message[key];
  if (typeof value !== "string") throw malformed(`"${key}" is missing`);
  return Buffer.from(value, "latin1");
}

function malformed(what: string, cause?: unknown): TrackerError {
  return new TrackerError("malformed", `malformed response: ${what}`, cause === undefined ? {} : { cause });
}
