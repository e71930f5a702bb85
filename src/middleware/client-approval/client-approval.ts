import { ClientError } from "../../bittorrent/client-error.ts";
import { clientIdLength, clientIdStart } from "../../bittorrent/client-id.ts";
import type { Hook } from "../hook.ts";

/** What `client approval` is told: at most one of the lists. */
export interface ClientApprovalOptions {
  /** Client ids, six bytes each, of which every announcing client must have one. */
  whitelist?: readonly string[];
  /** Client ids, six bytes each, that are refused. */
  blacklist?: readonly string[];
}

/** Refuses a client by its peer id; it would be refused again. */
export const unapprovedClient: ClientError = new ClientError("unapproved client", "unapproved-client", {
  retryIn: "never",
});

/**
 * Creates the prehook `client approval`: announces pass by the client id of their peer id, version digits
 * included. Without lists everything passes. A scrape names no client and always passes.
 * @throws RangeError for an entry that is not six bytes, and for two lists
 */
export function createClientApproval(options: ClientApprovalOptions): Hook {
  const { whitelist = [], blacklist = [] } = options;
  const isWhitelist = whitelist.length > 0;
  const listed = createClientIdSet(isWhitelist ? whitelist : blacklist);
  if (isWhitelist && blacklist.length > 0) {
    throw new RangeError("using both whitelist and blacklist is invalid");
  }
  return {
    name: "client approval",
    handleAnnounce({ peerId }) {
      const at = clientIdStart(peerId);
      const isListed = listed.get(threeBytes(peerId, at))?.has(threeBytes(peerId, at + 3)) === true;
      return isListed === isWhitelist ? undefined : unapprovedClient;
    },
  };
}

/** Client ids by their first three bytes, then by their last: numbers that need no memory of their own. */
function createClientIdSet(ids: readonly string[]): Map<number, Set<number>> {
  const set = new Map<number, Set<number>>();
  for (const id of ids) {
    const bytes = new TextEncoder().encode(id);
    if (bytes.length !== clientIdLength) throw new RangeError(`client ID ${id} must be 6 bytes`);
    const first = threeBytes(bytes, 0);
    let lasts = set.get(first);
    if (!lasts) {
      lasts = new Set();
      set.set(first, lasts);
    }
    lasts.add(threeBytes(bytes, 3));
  }
  return set;
}

function threeBytes(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 16) | (bytes[at + 1]! << 8) | bytes[at + 2]!;
}
