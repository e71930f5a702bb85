import { z } from "zod";
import type { LevelOptions, LocalityOptions } from "../../hooks/locality/create-locality.ts";
import { parseNetwork } from "../../ip/networks.ts";
import { mostPeers } from "../../storage/memory/layout.ts";
import { choice, facts, integer, list, number, text } from "../values.ts";
import { type BuiltInHook, describeHook } from "./built-in.ts";

function network(item: string): string | undefined {
  try {
    parseNetwork(item);
    return undefined;
  } catch (error) {
    return (error as RangeError).message;
  }
}

const networks = z
  .record(z.string(), list({ check: network }), {
    error: "expected a mapping of names to lists of networks, such as rack-1: [10.1.0.0/16]",
  })
  .check(({ value, issues }) => {
    const names = new Map<string, string>();
    for (const [name, items] of Object.entries(value)) {
      for (const [index, item] of items.entries()) {
        const { address, prefix } = parseNetwork(item);
        const other = names.get(`${address}/${prefix}`);
        names.set(`${address}/${prefix}`, name);
        if (other === undefined) continue;
        const message = `${item} is in ${other} already`;
        issues.push({ code: "custom", message, input: value, path: [name, index] });
      }
    }
  });

const level = z
  .strictObject(
    {
      name: text().optional(),
      ipv4: integer(0, 32).optional(),
      ipv6: integer(0, 128).optional(),
      networks: networks.optional(),
      asn: text().optional(),
      country: text().optional(),
    },
    {
      error: "expected a level: ipv4 and ipv6 with lengths of prefixes, networks with names, asn or country",
    },
  )
  .check(({ value, issues }) => {
    const isPrefix = value.ipv4 !== undefined || value.ipv6 !== undefined;
    const kinds = (["networks", "asn", "country"] as const).filter((key) => value[key] !== undefined);
    const [extra] = isPrefix ? kinds : kinds.slice(1);
    if (extra === undefined && (isPrefix || kinds.length > 0)) return;
    const message =
      extra === undefined
        ? "a level needs ipv4 and ipv6 (lengths of prefixes), networks, asn or country"
        : "give ipv4 and ipv6, networks, asn or country, only one of them; make a level of each";
    issues.push({ code: "custom", message, input: value, path: extra === undefined ? [] : [extra] });
  });

const levelJson = {
  type: "object",
  properties: {
    name: { type: "string", description: "Names the level in metrics; by default its number." },
    ipv4: { type: "integer", minimum: 0, maximum: 32, description: "Bits that IPv4 neighbours share." },
    ipv6: { type: "integer", minimum: 0, maximum: 128, description: "Bits that IPv6 neighbours share." },
    networks: {
      type: "object",
      description: "Networks of each neighbourhood, by its name.",
      additionalProperties: { type: "array", items: { type: "string" } },
    },
    asn: { type: "string", description: "MMDB file with the autonomous systems that neighbours share." },
    country: { type: "string", description: "MMDB file with the countries that neighbours share." },
  },
  additionalProperties: false,
};

/** A family that is not mentioned is all one neighbourhood's. */
function toLevel(value: z.infer<typeof level>, index: number): LevelOptions {
  const { name = `${index + 1}`, ipv4 = 0, ipv6 = 0, networks, asn, country } = value;
  if (networks !== undefined) return { name, by: "networks", networks };
  if (asn !== undefined) return { name, by: "asn", file: asn };
  if (country !== undefined) return { name, by: "country", file: country };
  return { name, by: "prefix", ipv4, ipv6 };
}

const options: z.ZodType<LocalityOptions> = z
  .strictObject({
    levels: z
      .array(level, { error: "expected a list of levels, from near to far" })
      .min(1, "at least one level is needed")
      .max(8, "at most 8 levels")
      .register(facts, { kind: "list of levels", json: { type: "array", items: levelJson } })
      .describe(
        "From near to far; each has `ipv4` and `ipv6` (bits that neighbours share), `networks` (a list of them for each name; the longest prefix wins), or `asn` or `country` (an MMDB file), and perhaps a `name` for metrics.",
      ),
    remote_quota: number(
      { minimum: 0, maximum: 0.9 },
      "expected a number from 0 to 0.9",
      (value) => value >= 0 && value <= 0.9,
    )
      .prefault("0.2")
      .describe(
        "Share of each list that is kept for peers from beyond a level, and of that again at the next.",
      ),
    order: choice(["near-first", "seeders-first"])
      .prefault("near-first")
      .describe("Whether a near leecher comes before a far seeder, or after it."),
    max_peers: integer(1, mostPeers)
      .prefault("2000000")
      .describe(
        "Most peers in all neighbourhoods; each counts once a level. Memory is used only as they come.",
      ),
  })
  .transform(({ levels, remote_quota, order, max_peers }) => ({
    levels: levels.map(toLevel),
    remoteQuota: remote_quota,
    order,
    maxPeers: max_peers,
  }));

export const locality: BuiltInHook<"locality", LocalityOptions> = describeHook(
  "locality",
  {
    description: "Lists peers of the announcer's own neighbourhood first; see [locality](locality.md).",
    example: {
      levels: [
        { name: "rack", ipv4: 24, ipv6: 64 },
        { name: "room", networks: { north: ["10.0.0.0/12", "fd00:a::/32"], south: ["10.16.0.0/12"] } },
      ],
      remote_quota: 0.2,
    },
  },
  options,
);
