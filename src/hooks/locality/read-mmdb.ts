import type { Reader, Response } from "mmdb-lib";
import { Address, type Family } from "../../ip/address.ts";
import { PrefixMapBuilder } from "../../ip/prefix-map.ts";
import { installRemedy } from "../../lib/install-remedy.ts";
import { openFile } from "../../lib/open-file.ts";
import type { Pace } from "../../lib/pace.ts";

/** The field of a database that a level uses. */
export type MmdbField = "asn" | "country";

/** Prefixes under which common databases repeat their IPv4 networks in IPv6, by first address. */
const repeatedIPv4: Readonly<Record<string, number>> = {
  "::": 96,
  "::ffff:0:0": 96,
  "2001::": 32,
  "2002::": 16,
};

/** Maximum decoded records in the cache: many networks share a record. */
const mostRecords = 10_000;

/**
 * Reads the networks of an MMDB file (MaxMind DB 2.0), each with its autonomous system or country. Reads in small
 * steps, through `mmdb-lib`, which only this file imports, since the package is optional.
 * @param most  networks after which to stop; 1 tells whether the file is usable
 * @throws Error with the command that installs the package, or with the problem of the file; any error of `pace`
 */
export async function readMmdb(
  path: string,
  field: MmdbField,
  pace: Pace,
  most: number = Number.POSITIVE_INFINITY,
): Promise<PrefixMapBuilder> {
  const library = await import("mmdb-lib").catch((cause) => {
    const message = `the level "${field}" needs the package "mmdb-lib": ${installRemedy("mmdb-lib")}`;
    throw new Error(message, { cause });
  });
  const builder = new PrefixMapBuilder();
  try {
    const reader = new library.Reader(await readWhole(path), { cache: new RecordCache() });
    for (const family of [4, 6] as const) {
      if (family <= reader.metadata.ipVersion) await addNetworks(reader, family, field, builder, pace, most);
    }
    if (builder.size > 0) return builder;
    throw new Error(`a database of the type ${reader.metadata.databaseType} without "${field}"`);
  } catch (cause) {
    throw new Error(`${path}: ${(cause as Error).message}`, { cause });
  }
}

async function readWhole(path: string): Promise<Buffer> {
  const file = await openFile(path);
  return file.readFile().finally(() => file.close());
}

async function addNetworks(
  reader: Reader<Response>,
  family: Family,
  field: MmdbField,
  builder: PrefixMapBuilder,
  pace: Pace,
  most: number,
): Promise<void> {
  const address = new Address();
  address.family = family;
  for (let prefix = 0; ; ) {
    const text = address.toString();
    const [record, length] = reader.getWithPrefixLength(text);
    const repeated = family === 6 ? repeatedIPv4[text] : undefined;
    prefix = repeated === undefined ? length : Math.min(length, repeated);
    const value =
      prefix === length ? wordOf(record as Readonly<Record<string, unknown>> | null, field) : undefined;
    if (value !== undefined) builder.add(address, prefix, value);
    if (builder.size >= most || !goBehind(address.bytes, prefix)) return;
    await pace.step();
  }
}

/** Moves from the first address of a network to the first address behind it. @returns false if there is none */
function goBehind(bytes: Uint8Array, prefix: number): boolean {
  for (let bit = prefix - 1; bit >= 0; bit--) {
    const mask = 0x80 >> (bit & 7);
    bytes[bit >> 3]! ^= mask;
    if ((bytes[bit >> 3]! & mask) !== 0) return true;
  }
  return false;
}

/**
 * Returns a word for the field of a record, if present. Databases use different names: `autonomous_system_number` or
 * `asn` ("AS64500"), `country.iso_code`, `country_code` or `country`.
 */
function wordOf(record: Readonly<Record<string, unknown>> | null, field: MmdbField): number | undefined {
  if (record === null) return undefined;
  if (field === "asn") {
    const digits = /^(?:AS)?(\d+)$/i.exec(`${record.autonomous_system_number ?? record.asn}`)?.[1];
    return digits === undefined ? undefined : Number(digits) | 0;
  }
  const { country, country_code = country } = record;
  const code = typeof country === "object" ? (country as { iso_code?: unknown }).iso_code : country_code;
  if (typeof code !== "string" || !/^[A-Z]{2}$/i.test(code)) return undefined;
  const upper = code.toUpperCase();
  return (upper.charCodeAt(0) << 8) | upper.charCodeAt(1);
}

class RecordCache extends Map<string | number, unknown> {
  override set(key: string | number, value: unknown): this {
    if (this.size >= mostRecords) this.clear();
    return super.set(key, value);
  }
}
