import { type Bencode, decodeBencode } from "../../src/protocol/bencode/decode.ts";
import { ensure } from "./target.ts";

const statuses = ["200", "400", "404", "405", "408", "431", "505"];

/**
 * Reads all that a connection was sent as strictly as HTTP and bencode are written, and throws what is wrong with it:
 * whole responses, bodies as long as they say, answers that are dictionaries with sorted keys, nothing after a
 * response that closes.
 * @returns the status of each response
 */
export function readResponses(bytes: Uint8Array, length: number): string[] {
  const found: string[] = [];
  const sent = Buffer.from(bytes.buffer, bytes.byteOffset, length);
  for (let at = 0; at < length; ) {
    const headEnd = sent.indexOf("\r\n\r\n", at);
    ensure(headEnd >= 0, () => "a response without an end");
    const [first, ...lines] = sent.toString("latin1", at, headEnd).split("\r\n");
    const status = /^HTTP\/1\.1 (\d{3}) [A-Za-z ]+$/.exec(first!)?.[1] ?? "";
    ensure(statuses.includes(status), () => `a status line of ${JSON.stringify(first)}`);
    let bodyLength = -1;
    let closes = false;
    for (const line of lines) {
      const [, name, value] = /^([A-Za-z-]+): ([\x20-\x7e]+)$/.exec(line) ?? [];
      ensure(name !== undefined, () => `a header line of ${JSON.stringify(line)}`);
      if (name === "Content-Length") bodyLength = Number(value);
      if (name === "Connection" && value === "close") closes = true;
    }
    ensure(bodyLength >= 0, () => "no Content-Length");
    at = headEnd + 4 + bodyLength;
    ensure(at <= length, () => "a body that is cut");
    const body = sent.subarray(headEnd + 4, at);
    const isRoot = lines.includes("Allow: GET, HEAD, OPTIONS");
    if (isRoot) ensure(`${body}` === "BitTorrent tracker\n", () => "another text for the root");
    else if (status === "200") checkBody(decodeBencode(body, { sortedKeys: true }));
    found.push(status);
    ensure(!closes || at === length, () => "something after a response that closes");
    ensure(status === "200" || status === "404" || closes, () => "a refusal that does not close");
  }
  return found;
}

function checkBody(body: Bencode): void {
  ensure(body instanceof Map, () => "an answer that is no dictionary");
  const entries = body as Map<string, Bencode>;
  const reason = entries.get("failure reason");
  if (reason !== undefined) {
    ensure(reason instanceof Uint8Array && reason.length > 0, () => "a failure without a reason");
    ensure(!entries.has("peers") && !entries.has("files"), () => "a failure with an answer");
    return;
  }
  const files = entries.get("files");
  if (files !== undefined) {
    ensure(
      files instanceof Map && [...files.keys()].every((key) => key.length === 20),
      () => "files of another kind",
    );
    return;
  }
  ensure((entries.get("interval") as number) >= 1800, () => "no interval");
  checkPeers(entries.get("peers"), 6);
  if (entries.has("peers6")) checkPeers(entries.get("peers6"), 18);
}

function checkPeers(peers: Bencode | undefined, size: number): void {
  if (peers instanceof Uint8Array) {
    ensure(peers.length % size === 0, () => "a list that ends within a peer");
    return;
  }
  ensure(Array.isArray(peers) && size === 6, () => "peers of another kind");
  for (const peer of peers as Bencode[]) {
    const isWhole =
      peer instanceof Map && peer.get("ip") instanceof Uint8Array && Number(peer.get("port")) > 0;
    ensure(isWhole, () => "a peer without ip or port");
  }
}
