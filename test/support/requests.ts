import { AnnounceRequest, AnnounceResponse } from "../../src/bittorrent/announce.ts";
import { PeerList } from "../../src/bittorrent/peer-list.ts";

/** Creates an announce. Infohash and peer id are 40 hexadecimal digits or 20 Latin-1 characters. */
export function announceRequest(infoHash: string, peerId: string): AnnounceRequest {
  const request = new AnnounceRequest();
  request.infoHash.set(twentyBytes(infoHash));
  request.peerId.set(twentyBytes(peerId));
  return request;
}

function twentyBytes(text: string): Uint8Array {
  return Buffer.from(text, text.length === 40 ? "hex" : "latin1");
}

/** Creates a response with room for `room` peers of each family. */
export function announceResponse(room = 0): AnnounceResponse {
  const response = new AnnounceResponse(
    new PeerList(4, new Uint8Array(room * 6)),
    new PeerList(6, new Uint8Array(room * 18)),
  );
  response.peers4.limit = response.peers6.limit = room;
  return response;
}
