import { eventName } from "../bittorrent/event.ts";
import { peerIdLength } from "../bittorrent/info-hash.ts";
import { type Family, formatIPv4, formatIPv6 } from "../ip/address.ts";
import { type Bencode, decodeBencode } from "../protocol/bencode/decode.ts";
import { compactPeers } from "./compact-peers.ts";
import type { AnnounceParameters, AnnounceResult, ReturnedPeer, SwarmCounts, Transport } from "./exchange.ts";
import { openRequest, toTrackerError } from "./open-request.ts";
import { scrapeUrl } from "./scrape-url.ts";
import { TrackerError } from "./tracker-error.ts";

const maxRedirects = 5;
/** Maximum length of a response in bytes. A response with 1,000 peers that are not compact has a tenth of it. */
const maxBodyLength = 1 << 20;

type Dictionary = Map<string, Bencode>;

/** Announces over HTTP or HTTPS (BEP 3, BEP 7, BEP 23). */
export async function announceOverHttp(
  url: URL,
  parameters: AnnounceParameters,
  transport: Transport,
): Promise<AnnounceResult> {
  const { event = 0, uploaded = 0n, downloaded = 0n, numWant, key, compact = true } = parameters;
  const query = [
    `info_hash=${percentEncode(parameters.infoHash)}`,
    `peer_id=${percentEncode(parameters.peerId)}`,
    `port=${parameters.port}`,
    `uploaded=${uploaded}`,
    `downloaded=${downloaded}`,
    `left=${parameters.left}`,
    `compact=${compact ? 1 : 0}`,
  ];
  if (event !== 0) query.push(`event=${eventName(event)}`);
  if (numWant !== undefined) query.push(`numwant=${numWant}`);
  if (key !== undefined) query.push(`key=${(key >>> 0).toString(16).padStart(8, "0").toUpperCase()}`);
  return readAnnounce(await ask(url, query, transport));
}

/** Scrapes over HTTP or HTTPS (BEP 48). */
export async function scrapeOverHttp(
  url: URL,
  infoHashes: readonly Uint8Array[],
  transport: Transport,
): Promise<(SwarmCounts | undefined)[]> {
  const query = infoHashes.map((infoHash) => `info_hash=${percentEncode(infoHash)}`);
  const files = (await ask(scrapeUrl(url), query, transport)).get("files");
  if (!(files instanceof Map)) throw malformed('"files" is missing');
  return infoHashes.map((infoHash) => {
    const file = files.get(Buffer.from(infoHash).toString("latin1"));
    if (!(file instanceof Map)) return undefined;
    const downloaded = count(file, "downloaded");
    const downloaders = count(file, "downloaders");
    return {
      complete: count(file, "complete") ?? 0,
      incomplete: count(file, "incomplete") ?? 0,
      ...(downloaded === undefined ? {} : { downloaded }),
      ...(downloaders === undefined ? {} : { downloaders }),
    };
  });
}

/**
 * Percent-encodes bytes for a query, except the unreserved characters of RFC 3986. `URLSearchParams` would encode an
 * infohash as text in UTF-8.
 */
function percentEncode(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) {
    const character = String.fromCharCode(byte);
    text += /[A-Za-z0-9\-._~]/.test(character)
      ? character
      : `%${byte.toString(16).padStart(2, "0").toUpperCase()}`;
  }
  return text;
}

/** Sends a GET request with `query` appended to the query of `url`. @returns the dictionary of the response */
async function ask(url: URL, query: readonly string[], transport: Transport): Promise<Dictionary> {
  let target = new URL(url);
  target.hash = "";
  let path = `${target.pathname}${target.search}${target.search === "" ? "?" : "&"}${query.join("&")}`;
  for (let redirects = 0; ; redirects++) {
    const { status, location, body } = await get(target, path, transport);
    if (status >= 300 && status < 400 && location !== undefined) {
      if (redirects === maxRedirects) throw malformed(`more than ${maxRedirects} redirects`);
      if (!URL.canParse(location, target.href)) throw malformed("a redirect to an invalid URL");
      target = new URL(location, target);
      if (target.protocol !== "http:" && target.protocol !== "https:") {
        throw malformed(`a redirect to ${target.protocol}`);
      }
      path = `${target.pathname}${target.search}`;
      continue;
    }
    return readDictionary(status, body);
  }
}

/** Decodes a response. A refusal may have any status, so its reason takes precedence over the status. */
function readDictionary(status: number, body: Uint8Array): Dictionary {
  let response: Bencode | undefined;
  let cause: unknown;
  try {
    response = decodeBencode(body);
  } catch (error) {
    cause = error;
  }
  if (response instanceof Map) {
    const reason = text(response, "failure reason");
    if (reason !== undefined) {
      const retry = response.get("retry in");
      const retryIn = typeof retry === "number" ? String(retry) : text(response, "retry in");
      throw new TrackerError("refused", reason, retryIn === undefined ? {} : { retryIn });
    }
  }
  if (status !== 200) throw malformed(`HTTP status ${status}`);
  if (cause !== undefined) throw malformed("not bencoded", cause);
  if (!(response instanceof Map)) throw malformed("not a dictionary");
  return response;
}

interface HttpResponse {
  status: number;
  location: string | undefined;
  body: Uint8Array;
}

function get(url: URL, path: string, transport: Transport): Promise<HttpResponse> {
  const { promise, resolve, reject } = Promise.withResolvers<HttpResponse>();
  const fail = (error: Error) => reject(toTrackerError(error));
  const request = openRequest(url, path, transport, { "Accept-Encoding": "identity" });
  request.on("response", (response) => {
    const chunks: Uint8Array[] = [];
    let length = 0;
    response.on("data", (chunk: Uint8Array) => {
      chunks.push(chunk);
      length += chunk.length;
      if (length > maxBodyLength) request.destroy(malformed(`longer than ${maxBodyLength} bytes`));
    });
    response.on("error", fail);
    response.on("end", () =>
      resolve({
        status: response.statusCode ?? 0,
        location: response.headers.location,
        body: Buffer.concat(chunks),
      }),
    );
  });
  request.on("error", fail);
  request.end();
  return promise;
}

function readAnnounce(response: Dictionary): AnnounceResult {
  const interval = count(response, "interval");
  if (interval === undefined) throw malformed('"interval" is missing');
  const result: AnnounceResult = {
    interval,
    peers: [...readPeers(response.get("peers"), 4), ...readPeers(response.get("peers6"), 6)],
  };
  const minInterval = count(response, "min interval");
  if (minInterval !== undefined) result.minInterval = minInterval;
  const complete = count(response, "complete");
  if (complete !== undefined) result.complete = complete;
  const incomplete = count(response, "incomplete");
  if (incomplete !== undefined) result.incomplete = incomplete;
  const warning = text(response, "warning message");
  if (warning !== undefined) result.warning = warning;
  const externalIp = response.get("external ip");
  if (externalIp instanceof Uint8Array && externalIp.length === 4)
    result.externalIp = formatIPv4(externalIp, 0);
  if (externalIp instanceof Uint8Array && externalIp.length === 16)
    result.externalIp = formatIPv6(externalIp, 0);
  return result;
}

/** Reads a list of peers: compact (BEP 23, BEP 7), or a list of dictionaries (BEP 3). */
function readPeers(value: Bencode | undefined, family: Family): ReturnedPeer[] {
  if (value === undefined) return [];
  if (value instanceof Uint8Array) {
    const peers = compactPeers(value, family);
    if (peers === undefined) throw malformed("a peer list that ends within a peer");
    return peers;
  }
  if (!Array.isArray(value)) throw malformed("peers are not a list");
  return value.map((entry) => {
    if (!(entry instanceof Map)) throw malformed("a peer is not a dictionary");
    const ip = text(entry, "ip");
    const port = count(entry, "port");
    if (ip === undefined || port === undefined) throw malformed("a peer without ip or port");
    const peerId = entry.get("peer id");
    const withId = peerId instanceof Uint8Array && peerId.length === peerIdLength ? { peerId } : {};
    return { ip, port, ...withId };
  });
}

function count(dictionary: Dictionary, key: string): number | undefined {
  const value = dictionary.get(key);
  if (typeof value !== "number" && typeof value !== "bigint") return undefined;
  return Number(value);
}

function text(dictionary: Dictionary, key: string): string | undefined {
  const value = dictionary.get(key);
  return value instanceof Uint8Array ? new TextDecoder().decode(value) : undefined;
}

function malformed(what: string, cause?: unknown): TrackerError {
  return new TrackerError("malformed", `malformed response: ${what}`, cause === undefined ? {} : { cause });
}
