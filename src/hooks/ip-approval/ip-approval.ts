import type { ClientError } from "../../bittorrent/client-error.ts";
import { Address } from "../../ip/address.ts";
import { parseNetwork, readNetwork } from "../../ip/networks.ts";
import { noPrefix, PrefixMap, PrefixMapBuilder } from "../../ip/prefix-map.ts";
import { PrefixMapReader } from "../../ip/prefix-map-reader.ts";
import { lifetime } from "../../middleware/access-list/key-approval.ts";
import { editsName, NetworkEdits, networkValue } from "../../middleware/access-list/list-edits.ts";
import type { ListCollector, ListFormat, ListKind } from "../../middleware/access-list/list-format.ts";
import {
  type ApprovalOptions,
  hasSources,
  listNotLoaded,
} from "../../middleware/access-list/list-options.ts";
import { SharedList } from "../../middleware/access-list/shared-list.ts";
import type { HookDeps } from "../../middleware/define-hook.ts";
import type { Hook } from "../../middleware/hook.ts";
import { unapprovedAddress } from "./errors.ts";

const name = "ip approval";

/** Returns whether a network of this value lets its addresses pass. */
function passesBy(value: number): boolean {
  return (value & 1) === 1;
}

/**
 * Returns the name of the memory of the lists. A different name for a different meaning: a reload must not change the
 * list that the old hook still uses.
 */
export function networksName({ whitelist, whitelistFrom }: ApprovalOptions): string {
  return whitelist.length + whitelistFrom.length > 0 ? "networks, whitelisted" : "networks";
}

/**
 * Creates the prehook `ip approval`: allows announces and scrapes by source address. The longest prefix that contains
 * the address decides; of equal prefixes in both lists, the blacklist. An address in no network passes unless there is
 * a whitelist. If a client names a second address (BEP 7) that would be refused, the hook removes that address.
 */
export async function createIpApproval(options: ApprovalOptions, deps: HookDeps): Promise<Hook> {
  const { whitelist, blacklist, whitelistFrom, onFailure } = options;
  const fixed = [
    ...whitelist.map((text) => ({ kind: "whitelist" as const, text })),
    ...blacklist.map((text) => ({ kind: "blacklist" as const, text })),
  ];
  const hasWhitelist = whitelist.length + whitelistFrom.length > 0;
  const edits = new NetworkEdits(await deps.shared.buffer(editsName("networks"), NetworkEdits.bytes()));
  const judge = (value: number) => {
    const passes = value === noPrefix ? !hasWhitelist : passesBy(value);
    return passes ? undefined : unapprovedAddress;
  };
  if (!hasSources(options)) {
    const networks = new NetworkCollector();
    for (const { kind, text } of fixed) {
      const bytes = Buffer.from(text);
      networks.add(bytes, 0, bytes.length, kind);
    }
    const map = networks.build();
    return createHook((address) => judge(edits.decide(address, map.find(address))));
  }

  const parts = { name, memory: networksName(options), format, options, fixed };
  const list = await SharedList.create(parts, deps);
  const { memory } = list;
  const withoutList = onFailure === "allow" ? undefined : listNotLoaded;
  const networks = new PrefixMapReader(memory);
  const check = (address: Address) => {
    const value = edits.decide(address, networks.find(address));
    return value === noPrefix && memory.generation === 0 ? withoutList : judge(value);
  };
  return { ...createHook(check), ...lifetime(list) };
}

function createHook(check: (address: Address) => ClientError | undefined): Hook {
  return {
    name,
    handleAnnounce(request) {
      if (request.hasOtherAddress && check(request.otherAddress)) request.hasOtherAddress = false;
      return check(request.address);
    },
    handleScrape: (request) => check(request.address),
  };
}

/** The format of the lists. */
export const format: ListFormat = {
  words: (entries) => PrefixMap.words(entries),
  collect: () => new NetworkCollector(),
};

/** Returns whether a byte ends a network: white space, `#`, `,` or `;`. */
function isEnd(byte: number): boolean {
  return byte === 0x20 || byte === 0x09 || byte === 0x23 || byte === 0x2c || byte === 0x3b;
}

/** Collects networks. The last value of a network in both lists wins: {@link SharedList} adds the blacklist last. */
class NetworkCollector implements ListCollector {
  readonly #builder = new PrefixMapBuilder();
  readonly #address = new Address();

  get size(): number {
    return this.#builder.size;
  }

  add(bytes: Uint8Array, start: number, end: number, kind: ListKind): string | undefined {
    let to = start;
    while (to < end && !isEnd(bytes[to]!)) to++;
    const simple = readNetwork(bytes, start, to, this.#address);
    if (simple >= 0) {
      this.#builder.add(this.#address, simple, networkValue(simple, kind === "whitelist"));
      return undefined;
    }
    const text = Buffer.from(bytes.subarray(start, to)).toString("latin1");
    // Quotes an entry only if it looks like a network, because a wrong file may hold a secret.
    if (!/^[\da-f]*[.:][\da-f.:]*(\/\d*)?$/i.test(text))
      return "not a network; write 10.0.0.0/8 or 2001:db8::/32";
    try {
      const { address, prefix } = parseNetwork(text);
      this.#builder.add(address, prefix, networkValue(prefix, kind === "whitelist"));
      return undefined;
    } catch (error) {
      return (error as Error).message;
    }
  }

  build(): PrefixMap {
    return this.#builder.build();
  }

  write(words: Int32Array): Iterable<void> {
    return this.#builder.write(words);
  }
}
