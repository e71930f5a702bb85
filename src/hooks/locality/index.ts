import { parseNetwork } from "../../ip/networks.ts";
import { defineHook, type HookDefinition, type WithDefaults } from "../../middleware/define-hook.ts";
import {
  blocks,
  choice,
  file,
  integer,
  networks,
  number,
  options,
  text,
  Value,
} from "../../options/index.ts";
import { mostPeers } from "../../storage/memory/layout.ts";
import type { LocalityOptions } from "./create-locality.ts";

const oneName = networks();

/** Networks of each neighbourhood, by name. */
const networksByName = new Value<Readonly<Record<string, readonly string[]>>>(
  {
    kind: "mapping",
    json: { type: "object", additionalProperties: { type: "array", items: { type: "string" } } },
  },
  (input, path, reader) => {
    if (typeof input !== "object" || input === null || Array.isArray(input)) {
      const expected = "a mapping of names to lists of networks, such as rack-1: [10.1.0.0/16]";
      reader.refuse(path, `expected ${expected}`);
      return undefined;
    }
    const names = new Map<string, string>();
    const entries: [string, readonly string[]][] = [];
    for (const [name, list] of Object.entries(input)) {
      const before = reader.issues.length;
      const items = oneName.read(list, [...path, name], reader);
      if (items === undefined || reader.issues.length > before) continue;
      entries.push([name, items]);
      for (const [index, item] of items.entries()) {
        const { address, prefix } = parseNetwork(item);
        const other = names.get(`${address}/${prefix}`);
        names.set(`${address}/${prefix}`, name);
        if (other !== undefined) reader.refuse([...path, name, index], `${item} is in ${other} already`);
      }
    }
    return Object.fromEntries(entries);
  },
);

const level = options(
  {
    name: text().optional().describe("Name of the level in metrics; by default its number."),
    ipv4: integer(0, 32).optional().describe("Number of leading bits that IPv4 neighbours share."),
    ipv6: integer(0, 128).optional().describe("Number of leading bits that IPv6 neighbours share."),
    networks: networksByName.optional().describe("Networks of each neighbourhood, by its name."),
    asn: file().optional().describe("MMDB file; neighbours share an autonomous system."),
    country: file().optional().describe("MMDB file; neighbours share a country."),
  },
  {
    expected: "a level: ipv4 and ipv6 with lengths of prefixes, networks with names, asn or country",
    check(value, refuse) {
      const isPrefix = value.ipv4 !== undefined || value.ipv6 !== undefined;
      const kinds = (["networks", "asn", "country"] as const).filter((key) => value[key] !== undefined);
      const [extra] = isPrefix ? kinds : kinds.slice(1);
      if (extra !== undefined)
        refuse(
          extra,
          "a level has only one of: ipv4 and ipv6, networks, asn, country; write one level for each",
        );
      else if (!isPrefix && kinds.length === 0)
        refuse([], "a level needs ipv4 and ipv6 (lengths of prefixes), networks, asn or country");
    },
  },
);

/** Puts peers from the announcer's neighbourhood first. */
export const locality: HookDefinition<
  LocalityOptions,
  WithDefaults<LocalityOptions, "remoteQuota" | "order" | "maxPeers">
> = defineHook({
  name: "locality",
  description: "Lists peers of the announcer's own neighbourhood first; see [locality](locality.md).",
  options: options({
    levels: blocks(level, { minimum: 1, maximum: 8, name: "level" }).describe(
      "The levels, from near to far. Each level has `ipv4` and `ipv6`, or `networks`, or `asn`, or `country`, which are described in `docs/locality.md`. A level may also have a `name` for metrics.",
    ),
    remote_quota: number({ minimum: 0, maximum: 0.9 })
      .default(0.2)
      .describe(
        "Share of places that each level leaves to the levels after it. With 0.2, a list of 50 peers has 40 from the first level, 8 from the second, and 2 others.",
      ),
    order: choice(["near-first", "seeders-first"])
      .default("near-first")
      .describe("Whether near leechers come before far seeders, or after them."),
    max_peers: integer(1, mostPeers)
      .default(2_000_000)
      .describe(
        "Maximum number of peers in all neighbourhoods; a peer counts once per level. Memory is used only as peers arrive.",
      ),
  }),
  example: {
    levels: [
      { name: "rack", ipv4: 24, ipv6: 64 },
      { name: "room", networks: { north: ["10.0.0.0/12", "fd00:a::/32"], south: ["10.16.0.0/12"] } },
    ],
    remote_quota: 0.2,
  },
  packages: ({ levels }) =>
    levels.some(({ asn, country }) => asn !== undefined || country !== undefined) ? ["mmdb-lib"] : [],
  create: async (options, deps) =>
    (await import("./create-locality.ts")).createLocality(options, deps.lifetime, deps),
});
