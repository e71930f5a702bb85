import { clientIdLength, clientIdStart } from "../../bittorrent/client-id.ts";
import {
  type ApprovalLists,
  checkFixed,
  checkShared,
  type FixedLists,
  type KeyApproval,
  type KeyCheck,
} from "../../middleware/access-list/key-approval.ts";
import type { HookDeps } from "../../middleware/define-hook.ts";
import type { Hook } from "../../middleware/hook.ts";
import { unapprovedClient } from "./errors.ts";

/** The options of `client approval`: client ids of six bytes to allow, or to refuse. */
export type ClientApprovalOptions = FixedLists & Partial<Pick<ApprovalLists, "lists">>;

const approval: KeyApproval = {
  name: "client approval",
  width: 2,
  parse: parseEntry,
  refusal: unapprovedClient,
};

/**
 * Creates the prehook `client approval`: allows announces by the client id in the peer id, version digits included.
 * Without lists, all announces pass. A scrape names no client, so it always passes.
 * @throws RangeError for an entry that is not six bytes, and for two lists
 */
export function createClientApproval(options: FixedLists): Hook {
  checkEntries(options);
  return createHook(checkFixed(approval, options));
}

/** Does the same with lists from files and URLs. @throws as {@link createClientApproval} */
export async function createClientLists(options: ApprovalLists, deps: HookDeps): Promise<Hook> {
  checkEntries(options);
  const { check, list } = await checkShared(approval, options, deps);
  return { ...createHook(check), ...list };
}

function createHook(check: KeyCheck): Hook {
  const key = new Int32Array(approval.width);
  const bytes = new Uint8Array(key.buffer);
  return {
    name: approval.name,
    handleAnnounce({ peerId }) {
      const at = clientIdStart(peerId);
      for (let i = 0; i < clientIdLength; i++) bytes[i] = peerId[at + i]!;
      return check(key, 0);
    },
  };
}

function checkEntries({ whitelist = [], blacklist = [] }: FixedLists): void {
  for (const id of [...whitelist, ...blacklist]) {
    if (Buffer.byteLength(id) !== clientIdLength) throw new RangeError(`client ID ${id} must be 6 bytes`);
  }
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
