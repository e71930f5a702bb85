import { ClientError } from "../../bittorrent/client-error.ts";
import { HashSet } from "../../lib/hash-set.ts";
import type { HookDeps } from "../define-hook.ts";
import type { Hook } from "../hook.ts";
import { keyListFormat, type ParseKey } from "./key-list.ts";
import { editsName, KeyEdits } from "./list-edits.ts";
import type { ListKind } from "./list-format.ts";
import { type ApprovalOptions, hasSources, listNotLoaded } from "./list-options.ts";
import { SharedList, type SwapListener } from "./shared-list.ts";

/**
 * Returns a copy of a refusal for a list that can change: the client may retry after 15 minutes, because the list may
 * name the client or the torrent by then.
 */
export function untilListChanges({ message, code }: ClientError): ClientError {
  return new ClientError(message, code, { retryIn: 15 });
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

/** Returns which list a hook has that has only one. */
export function keyListKind({ whitelist, whitelistFrom }: ApprovalOptions): ListKind {
  return whitelist.length + whitelistFrom.length > 0 ? "whitelist" : "blacklist";
}

/** The check of a hook's lists, and the methods of the hook that keep the lists up to date. */
interface KeyLists {
  readonly check: KeyCheck;
  readonly list: Pick<Hook, "ready" | "start" | "stop">;
}

/** What a hook adds to the check of its list. */
interface KeyListParts {
  /** Edits that win over the list, and over the edits of operators. */
  readonly overrides?: KeyEdits | undefined;
  /** Returns a listener for new lists from files and URLs. */
  readonly onSwap?: (kind: ListKind, check: KeyCheck) => SwapListener;
}

/** Creates the check of a whitelist or a blacklist, from the config and from files and URLs. */
export async function approveKeys(
  { name, width, parse, refusal }: KeyApproval,
  options: ApprovalOptions,
  deps: HookDeps,
  { overrides, onSwap }: KeyListParts = {},
): Promise<KeyLists> {
  const kind = keyListKind(options);
  const isWhitelist = kind === "whitelist";
  const entries = options[kind];
  const format = keyListFormat(width, parse);
  const edits = new KeyEdits(await deps.shared.buffer(editsName(kind), KeyEdits.bytes(width)), width);
  const refusedForNow = untilListChanges(refusal);
  const findEdit = (words: Int32Array, at: number) => overrides?.find(words, at) ?? edits.find(words, at);
  if (!hasSources(options)) {
    const list = format.collect();
    for (const text of entries) {
      const bytes = new TextEncoder().encode(text);
      list.add(bytes, 0, bytes.length, kind);
    }
    const words = new Int32Array(format.words(entries.length));
    for (const _ of list.write(words));
    const set = new HashSet(width, words);
    const check: KeyCheck = (from, at) => {
      const edited = findEdit(from, at);
      if (edited !== undefined) return edited === isWhitelist ? undefined : refusedForNow;
      return set.has(from, at) === isWhitelist ? undefined : refusal;
    };
    return { check, list: {} };
  }
  const list = await SharedList.create(
    {
      ...{ name, memory: kind, options, format },
      fixed: entries.map((text) => ({ kind, text })),
      ...(onSwap && { onSwap: onSwap(kind, (words, at) => check(words, at)) }),
    },
    deps,
  );
  const { memory } = list;
  const sets = [new HashSet(width, memory.halves[0]), new HashSet(width, memory.halves[1])] as const;
  const withoutList = options.onFailure === "allow" ? undefined : listNotLoaded;
  const check: KeyCheck = (words, at) => {
    const edited = findEdit(words, at);
    if (edited !== undefined) return edited === isWhitelist ? undefined : refusedForNow;
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
