import { ClientError } from "../../bittorrent/client-error.ts";
import { HashSet } from "../../lib/hash-set.ts";
import type { HookDeps } from "../define-hook.ts";
import type { Hook } from "../hook.ts";
import { keyListFormat, type ParseKey } from "./key-list.ts";
import type { ListKind } from "./list-format.ts";
import { listNotLoaded } from "./list-options.ts";
import { type ListOptions, SharedList, type SwapListener } from "./shared-list.ts";

/**
 * Returns a copy of a refusal for a list that can change: the client may retry after 15 minutes, because the list may
 * name the client or the torrent by then.
 */
export function untilListChanges({ message, code }: ClientError): ClientError {
  return new ClientError(message, code, { retryIn: 15 });
}

/** Lists in the config itself: at most one of the two. */
export interface FixedLists {
  whitelist?: readonly string[];
  blacklist?: readonly string[];
}

/** Lists in the config, and lists from files and URLs. */
export interface ApprovalLists extends FixedLists {
  lists: ListOptions;
}

/** Returns undefined if the key at `words[at..]` passes, otherwise the refusal. Never allocates. */
export type KeyCheck = (words: Int32Array, at: number) => ClientError | undefined;

/** The keys that a hook approves. */
export interface KeyApproval {
  /** The hook's name. */
  name: string;
  /** Words of a key. */
  width: number;
  parse: ParseKey;
  refusal: ClientError;
}

/**
 * Creates the check of fixed lists. The caller has checked the entries.
 * @throws RangeError for two lists
 */
export function checkFixed(
  { width, parse, refusal }: KeyApproval,
  { whitelist = [], blacklist = [] }: FixedLists,
): KeyCheck {
  if (whitelist.length > 0 && blacklist.length > 0) {
    throw new RangeError("using both whitelist and blacklist is invalid");
  }
  const isWhitelist = whitelist.length > 0;
  const entries = isWhitelist ? whitelist : blacklist;
  const list = keyListFormat(width, parse).collect();
  for (const text of entries) {
    const bytes = new TextEncoder().encode(text);
    list.add(bytes, 0, bytes.length, "whitelist");
  }
  const words = new Int32Array(HashSet.words(width, entries.length));
  for (const _ of list.write(words));
  const set = new HashSet(width, words);
  return (from, at) => (set.has(from, at) === isWhitelist ? undefined : refusal);
}

/** Creates the check of lists from files and URLs, and the methods of the hook that keep the lists up to date. */
export async function checkShared(
  { name, width, parse, refusal }: KeyApproval,
  { whitelist = [], blacklist = [], lists }: ApprovalLists,
  deps: HookDeps,
  onSwap?: (kind: ListKind) => SwapListener,
): Promise<{ check: KeyCheck; list: Pick<Hook, "ready" | "start" | "stop"> }> {
  const isWhitelist = whitelist.length + lists.whitelistFrom.length > 0;
  if (isWhitelist && blacklist.length + lists.blacklistFrom.length > 0) {
    throw new RangeError("using both whitelist and blacklist is invalid");
  }
  const kind = isWhitelist ? "whitelist" : "blacklist";
  const list = await SharedList.create(
    {
      ...{ name, memory: kind, options: lists },
      format: keyListFormat(width, parse),
      fixed: (isWhitelist ? whitelist : blacklist).map((text) => ({ kind, text })),
      ...(onSwap && { onSwap: onSwap(kind) }),
    },
    deps,
  );
  const { memory } = list;
  const sets = [new HashSet(width, memory.halves[0]), new HashSet(width, memory.halves[1])] as const;
  const withoutList = lists.onFailure === "allow" ? undefined : listNotLoaded;
  const refusedForNow = untilListChanges(refusal);
  const check: KeyCheck = (words, at) => {
    for (;;) {
      const { generation } = memory;
      if (generation === 0) return withoutList;
      const isListed = sets[(generation & 1) as 0 | 1].has(words, at);
      if (memory.generation === generation) return isListed === isWhitelist ? undefined : refusedForNow;
    }
  };
  return { check, list: lifetime(list) };
}

/** Returns the methods that a hook delegates to its list. */
export function lifetime(list: SharedList): Required<Pick<Hook, "ready" | "start" | "stop">> {
  return { ready: () => list.ready(), start: () => list.start(), stop: () => list.stop() };
}
