import { clientIdLength } from "../bittorrent/client-id.ts";
import { parseAnyInfoHash, toHex } from "../bittorrent/info-hash.ts";
import type { Config } from "../config/config.ts";
import type { Address } from "../ip/address.ts";
import { parseNetwork } from "../ip/networks.ts";
import { PrefixMap, PrefixMapBuilder } from "../ip/prefix-map.ts";
import { hasNetwork, listNetworks } from "../ip/prefix-map-networks.ts";
import { DoubleBuffer } from "../lib/double-buffer.ts";
import { HashSet } from "../lib/hash-set.ts";
import { maskUrl } from "../lib/mask-url.ts";
import { Pace } from "../lib/pace.ts";
import type { EditableList } from "../middleware/access-list/editable-list.ts";
import { type KeyApproval, keyListKind } from "../middleware/access-list/key-approval.ts";
import { editsName, KeyEdits, NetworkEdits, networkValue } from "../middleware/access-list/list-edits.ts";
import type { ListKind } from "../middleware/access-list/list-format.ts";
import { type ApprovalOptions, hasSources } from "../middleware/access-list/list-options.ts";
import { type ShareHub, scopeOf } from "./share-hub.ts";

/** How the keys of a list are written as text. */
interface KeyFormat {
  readonly entries: "torrents" | "clients";
  /** Loads the hook's own rule for entries in the configuration. */
  approval(): Promise<KeyApproval>;
  /** Returns the bytes of a key, or undefined if the text is not an entry for operators. */
  parse(text: string): Uint8Array | undefined;
  format(bytes: Uint8Array): string;
  readonly expected: string;
}

const keyFormats: Readonly<Record<string, KeyFormat>> = {
  "torrent approval": {
    entries: "torrents",
    approval: async () => (await import("../hooks/torrent-approval/torrent-approval.ts")).approval,
    parse: parseAnyInfoHash,
    format: (bytes) => toHex(bytes),
    expected: "an infohash of 40 hexadecimal digits",
  },
  "client approval": {
    entries: "clients",
    approval: async () => (await import("../hooks/client-approval/client-approval.ts")).approval,
    parse: (text) =>
      /^[\u0021-\u007e]{6}$/.test(text) && text.length === clientIdLength
        ? Buffer.from(text, "latin1")
        : undefined,
    format: (bytes) => Buffer.from(bytes.subarray(0, clientIdLength)).toString("latin1"),
    expected: `a client id of ${clientIdLength} printable ASCII characters`,
  },
};

/**
 * Describes the lists of the approval hooks in a configuration. The lists read the memory that the workers share, so they
 * show what the workers obey.
 * @param hub  the hub of the process
 */
export async function describeLists(config: Config, hub: Pick<ShareHub, "buffer">): Promise<EditableList[]> {
  const lists: EditableList[] = [];
  const used = new Map<string, number>();
  for (const { name, module, options } of [...config.preHooks, ...config.postHooks]) {
    const scope = scopeOf(name, used);
    const format = keyFormats[name];
    if (module !== undefined || (format === undefined && name !== "ip approval")) continue;
    const buffer: Buffers = (memory, bytes) => hub.buffer(`${scope}/${memory}`, bytes);
    const given = options as ApprovalOptions;
    lists.push(
      ...(format ? [await keyList(scope, format, given, buffer)] : await networkLists(scope, given, buffer)),
    );
  }
  return lists;
}

type Buffers = (name: string, bytes: number) => Promise<SharedArrayBuffer>;

/** The parts of a list that follow from the configuration. */
function configured(hook: string, kind: ListKind, options: ApprovalOptions) {
  const sources = kind === "whitelist" ? options.whitelistFrom : options.blacklistFrom;
  const isUrl = (source: string) => /^https?:\/\//i.test(source);
  return {
    name: `${hook.replaceAll(" ", "-")}-${kind}`,
    hook,
    kind,
    files: sources.filter((source) => !isUrl(source)),
    urls: sources.filter(isUrl).map(maskUrl),
  };
}

async function keyList(
  hook: string,
  { entries, approval, parse, format, expected }: KeyFormat,
  options: ApprovalOptions,
  buffer: Buffers,
): Promise<EditableList> {
  const kind = keyListKind(options);
  const { width, parse: parseEntry } = await approval();
  const edits = new KeyEdits(await buffer(editsName(kind), KeyEdits.bytes(width)), width);
  const readKey = (text: string): Int32Array<ArrayBuffer> | undefined => {
    const key = new Int32Array(width);
    const bytes = Buffer.from(text);
    return parseEntry(bytes, 0, bytes.length, new Uint8Array(key.buffer)) === undefined ? key : undefined;
  };
  const keyOf = (entry: string): Int32Array => readKey(entry)!;
  const keys = options[kind].map(readKey).filter((key) => key !== undefined); // the hook ignores other entries too
  const fixed = new Set(keys.map((key) => format(new Uint8Array(key.buffer))));
  const memory = hasSources(options)
    ? new DoubleBuffer(await buffer(kind, DoubleBuffer.bytes(HashSet.words(width, options.maxEntries))))
    : undefined;
  const read = (entry: string) =>
    memory === undefined
      ? fixed.has(entry)
      : readStable(memory, (half) => new HashSet(width, half).has(keyOf(entry)), false);
  return {
    ...configured(hook, kind, options),
    entries,
    fixed,
    get isLoaded() {
      return memory === undefined || memory.generation !== 0;
    },
    parse(text) {
      const bytes = parse(text);
      return bytes === undefined
        ? { problem: `expected ${expected}; got ${text.length} characters` }
        : { entry: format(bytes) };
    },
    readLine(line) {
      const text = /^\S+/.exec(line.trim())?.[0] ?? "";
      const bytes = parse(entries === "torrents" ? text.slice(0, 40) : text);
      return bytes && format(bytes);
    },
    get size() {
      if (memory === undefined) return fixed.size;
      return readStable(memory, (half) => new HashSet(width, half).size, 0);
    },
    has: read,
    async snapshot() {
      if (memory === undefined) return fixed;
      const copy = await copyCurrent(memory, (half) => new HashSet(width, half).end);
      return copy === undefined ? [] : keysOf(new HashSet(width, copy), copy, width, format);
    },
    write: (given) => new Pace().run(edits.write(given, keyOf)),
  };
}

function* keysOf(
  set: HashSet,
  words: Int32Array,
  width: number,
  format: (bytes: Uint8Array) => string,
): Iterable<string> {
  for (let at = set.start; at < set.end; at += width)
    yield format(new Uint8Array(words.buffer, words.byteOffset + 4 * at, 4 * width));
}

async function networkLists(
  hook: string,
  options: ApprovalOptions,
  buffer: Buffers,
): Promise<EditableList[]> {
  const { networksName } = await import("../hooks/ip-approval/ip-approval.ts");
  const edits = new NetworkEdits(await buffer(editsName("networks"), NetworkEdits.bytes()));
  const memory = hasSources(options)
    ? new DoubleBuffer(
        await buffer(networksName(options), DoubleBuffer.bytes(PrefixMap.words(options.maxEntries))),
      )
    : undefined;
  const all = new Map<ListKind, ReadonlyMap<string, boolean>>();
  const prefixOf = (value: number) => value >> 1;
  const lists = (["whitelist", "blacklist"] as const).map((kind): EditableList => {
    const passes = kind === "whitelist";
    const fixed = new Set(options[kind].map((text) => formatNetwork(parseNetwork(text))));
    const isOfKind = (value: number) => (value & 1) === (passes ? 1 : 0);
    const has = (entry: string) => {
      if (memory === undefined) return fixed.has(entry);
      const network = parseNetwork(entry);
      const value = networkValue(network.prefix, passes);
      return readStable(memory, (half) => hasNetwork(PrefixMap.in(half), network, value), false);
    };
    return {
      ...configured(hook, kind, options),
      entries: "networks",
      fixed,
      get isLoaded() {
        return memory === undefined || memory.generation !== 0;
      },
      parse(text) {
        try {
          return { entry: formatNetwork(parseNetwork(text)) };
        } catch (error) {
          return { problem: (error as Error).message };
        }
      },
      readLine(line) {
        try {
          return formatNetwork(parseNetwork(/^[^\s#,;]*/.exec(line.trim())![0]));
        } catch {
          return undefined;
        }
      },
      get size() {
        return memory === undefined ? fixed.size : undefined;
      },
      has,
      async snapshot() {
        if (memory === undefined) return fixed;
        const copy = await copyCurrent(memory, (half) => PrefixMap.used(half));
        return copy === undefined ? [] : networksOf(copy);
        function* networksOf(words: Int32Array): Iterable<string> {
          for (const network of listNetworks(PrefixMap.in(words), prefixOf))
            if (isOfKind(network.value)) yield formatNetwork(network);
        }
      },
      async write(given) {
        all.set(kind, given);
        const builder = new PrefixMapBuilder();
        // The last value of a network wins, so a refusal wins over an approval.
        for (const wanted of [true, false]) {
          for (const [of, entries] of all) {
            for (const [entry, isListed] of entries) {
              const isApproved = (of === "whitelist") === isListed;
              const { address, prefix } = parseNetwork(entry);
              if (isApproved === wanted) builder.add(address, prefix, networkValue(prefix, isApproved));
            }
          }
        }
        await new Pace().run(edits.write(builder));
      },
    };
  });
  return lists;
}

function formatNetwork({ address, prefix }: { address: Address; prefix: number }): string {
  return `${address}/${prefix}`;
}

/** Reads the current half of memory that another thread may swap. */
function readStable<T>(memory: DoubleBuffer, read: (half: Int32Array) => T, before: T): T {
  for (;;) {
    const { generation, halves } = memory;
    if (generation === 0) return before;
    const result = read(halves[(generation & 1) as 0 | 1]);
    if (memory.generation === generation) return result;
  }
}

/** Words that one step copies. */
const copySize = 65_536;

/** Copies the used words of the current half, in steps. Begins anew if the half is swapped meanwhile. */
async function copyCurrent(
  memory: DoubleBuffer,
  used: (half: Int32Array) => number,
): Promise<Int32Array | undefined> {
  const pace = new Pace();
  for (;;) {
    const { generation, halves } = memory;
    if (generation === 0) return undefined;
    const half = halves[(generation & 1) as 0 | 1];
    const copy = new Int32Array(Math.min(used(half), half.length));
    for (let at = 0; at < copy.length; at += copySize) {
      copy.set(half.subarray(at, Math.min(at + copySize, copy.length)), at);
      await pace.step();
    }
    if (memory.generation === generation) return copy;
  }
}
