/** Bytes of a client id. */
export const clientIdLength = 6;

/** Where the client id begins in a peer id: after a leading `-` (Azureus style), else at the start. */
export function clientIdStart(peerId: Uint8Array): 0 | 1 {
  return peerId[0] === 0x2d ? 1 : 0;
}

/**
 * The part of a peer id that names the client and its version, as Chihaya takes it (bittorrent/client_id.go):
 * `AZ3034` of `-AZ3034-6wfG2wk6wWLc`, `T03A0-` of `T03A0----f089kjsdf6e`.
 * @returns six Latin-1 characters, or "" where the peer id is too short
 */
export function clientId(peerId: Uint8Array): string {
  const start = clientIdStart(peerId);
  if (peerId.length < start + clientIdLength) return "";
  let id = "";
  for (let i = start; i < start + clientIdLength; i++) id += String.fromCharCode(peerId[i]!);
  return id;
}
