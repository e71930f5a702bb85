import { clientIdLength, clientIdStart } from "../../bittorrent/client-id.ts";
import { approveKeys, type KeyApproval } from "../../middleware/access-list/key-approval.ts";
import { keyListFormat } from "../../middleware/access-list/key-list.ts";
import type { ListFormat } from "../../middleware/access-list/list-format.ts";
import type { ApprovalOptions } from "../../middleware/access-list/list-options.ts";
import type { HookDeps } from "../../middleware/define-hook.ts";
import type { Hook } from "../../middleware/hook.ts";
import { unapprovedClient } from "./errors.ts";

export const approval: KeyApproval = {
  name: "client approval",
  width: 2,
  parse: parseEntry,
  refusal: unapprovedClient,
};

/** The format of the lists. */
export const format: ListFormat = keyListFormat(approval.width, approval.parse);

/**
 * Creates the prehook `client approval`: allows announces by the client id in the peer id, version digits included.
 * Without lists, all announces pass. A scrape names no client, so it always passes.
 */
export async function createClientApproval(options: ApprovalOptions, deps: HookDeps): Promise<Hook> {
  const { check, list } = await approveKeys(approval, options, deps);
  const key = new Int32Array(approval.width);
  const bytes = new Uint8Array(key.buffer);
  return {
    ...list,
    name: approval.name,
    handleAnnounce({ peerId }) {
      const at = clientIdStart(peerId);
      for (let i = 0; i < clientIdLength; i++) bytes[i] = peerId[at + i]!;
      return check(key, 0);
    },
  };
}

/** Parses a client id, followed by the end, or by white space and a comment. */
function parseEntry(bytes: Uint8Array, start: number, end: number, out: Uint8Array): string | undefined {
  const after = start + clientIdLength;
  const isWhole = after === end || (after < end && (bytes[after] === 0x20 || bytes[after] === 0x09));
  for (let i = 0; i < clientIdLength; i++) {
    if (!isWhole || bytes[start + i]! <= 0x20)
      return `not a client ID: ${end - start} bytes; expected 6 bytes, or a comment after #`;
    out[i] = bytes[start + i]!;
  }
  return undefined;
}
