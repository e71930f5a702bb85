/** Bytes of a client id. */
export const clientIdLength = 6;

/** Returns the offset of the client id in a peer id: 1 behind a leading `-` (Azureus style), else 0. */
export function clientIdStart(peerId: Uint8Array): 0 | 1 {
  return peerId[0] === 0x2d ? 1 : 0;
}

/**
 * Returns the part of a peer id that names the client and its version, by Chihaya's rule (bittorrent/client_id.go):
 * `AZ3034` of `-AZ3034-6wfG2wk6wWLc`, `T03A0-` of `T03A0----f089kjsdf6e`.
 * @returns six Latin-1 characters, or "" if the peer id is too short
 */
export function clientId(peerId: Uint8Array): string {
  const start = clientIdStart(peerId);
  if (peerId.length < start + clientIdLength) return "";
  let id = "";
  for (let i = start; i < start + clientIdLength; i++) id += String.fromCharCode(peerId[i]!);
  return id;
}
