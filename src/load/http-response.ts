/** Results of {@link readResponse} other than a number of peers. */
export const Incomplete = -1;
export const Wrong = -2;

/**
 * Reads the response to an announce over HTTP. A right response has status 200, the declared length, and a body that is a
 * bencoded dictionary with compact peers.
 * @param length    number of received bytes
 * @param hasEnded  whether the tracker closed the connection after these bytes
 * @returns the number of peers, {@link Incomplete} or {@link Wrong}
 */
export function readResponse(bytes: Buffer, length: number, hasEnded: boolean): number {
  const text = bytes.toString("latin1", 0, length);
  const headEnd = text.indexOf("\r\n\r\n");
  if (headEnd < 0) return hasEnded ? Wrong : Incomplete;
  const bodyAt = headEnd + 4;
  const declared = /\r\ncontent-length: *(\d+)/i.exec(text)?.[1];
  if (declared === undefined && !hasEnded) return Incomplete;
  const end = declared === undefined ? length : bodyAt + Number(declared);
  if (length < end) return hasEnded ? Wrong : Incomplete;
  if (length > end || !/^HTTP\/1\.[01] 200 /.test(text)) return Wrong;
  if (text[bodyAt] !== "d" || text[end - 1] !== "e") return Wrong;
  const peers = count(text, bodyAt, "5:peers", 6);
  const peers6 = count(text, bodyAt, "6:peers6", 18);
  if (peers === undefined && peers6 === undefined) return Wrong;
  const sum = (peers ?? 0) + (peers6 ?? 0);
  return Number.isInteger(sum) ? sum : Wrong;
}

/** Returns the number of peers of `stride` bytes in the string under a key; undefined if the key is missing. */
function count(text: string, from: number, key: string, stride: number): number | undefined {
  const at = text.indexOf(key, from);
  if (at < 0) return undefined;
  const colon = text.indexOf(":", at + key.length);
  const bytes = Number(text.slice(at + key.length, colon));
  return colon + bytes < text.length ? bytes / stride : undefined;
}
