import { z } from "zod";
import { clientIdLength } from "../bittorrent/client-id.ts";
import { parseInfoHash } from "../bittorrent/info-hash.ts";
import type { ClientApprovalOptions } from "../middleware/client-approval/client-approval.ts";
import type { IntervalVariationOptions } from "../middleware/interval-variation/interval-variation.ts";
import type { TorrentApprovalOptions } from "../middleware/torrent-approval/torrent-approval.ts";
import { nearest } from "./nearest.ts";
import { boolean, integer, list, number } from "./values.ts";

/** A hook by name, with options that have passed its schema. */
export type HookConfig =
  | { name: "client approval"; options: ClientApprovalOptions }
  | { name: "torrent approval"; options: TorrentApprovalOptions }
  | { name: "interval variation"; options: IntervalVariationOptions };

function clientId(item: string): string | undefined {
  const { length } = new TextEncoder().encode(item);
  return length === clientIdLength
    ? undefined
    : `client ID ${item} must be ${clientIdLength} bytes, not ${length}`;
}

function infoHash(item: string): string | undefined {
  if (parseInfoHash(item) !== undefined) return undefined;
  const isHex = /^([\da-f]{2})*$/i.test(item);
  const wrong = isHex ? `hash ${item} is not 20 bytes` : `invalid hash ${item}`;
  return `${wrong}; expected 40 hexadecimal digits`;
}

const approval = (check: (item: string) => string | undefined, what: string, example: string) =>
  z
    .strictObject({
      whitelist: list({ check }).prefault([]).describe(`Only these ${what} are let in; ${example}.`),
      blacklist: list({ check }).prefault([]).describe(`All ${what} but these are let in.`),
    })
    .check((context) => {
      const { whitelist, blacklist } = context.value;
      if (whitelist.length === 0 || blacklist.length === 0) return;
      const message = "using both whitelist and blacklist is invalid; remove one of the two";
      context.issues.push({ code: "custom", message, input: context.value, path: ["blacklist"] });
    });

const intervalVariation = z
  .strictObject({
    modify_response_probability: number(
      { exclusiveMinimum: 0, maximum: 1 },
      "invalid modify_response_probability; expected a number above 0 and at most 1",
      (value) => value > 0 && value <= 1,
    ).describe("Share of the announces whose interval is lengthened: above 0, at most 1."),
    max_increase_delta: integer(1, 86_400, { refusal: "invalid max_increase_delta" }).describe(
      "Most seconds that are added to the interval.",
    ),
    modify_min_interval: boolean()
      .prefault("false")
      .describe("Whether the minimum interval grows by the same."),
  })
  .transform((options) => ({
    modifyResponseProbability: options.modify_response_probability,
    maxIncreaseDelta: options.max_increase_delta,
    modifyMinInterval: options.modify_min_interval,
  }));

/** Hooks of Chihaya that this version lacks. */
const notYet = ["jwt"];

const builtIn = [
  z
    .strictObject({
      name: z.literal("client approval"),
      options: approval(
        clientId,
        "clients",
        "the six bytes of a peer id that name client and version",
      ).prefault({}),
    })
    .meta({ examples: [{ name: "client approval", options: { whitelist: ["TR4100", "qB5120"] } }] })
    .describe("Refuses announces by the client that sends them, with `unapproved client`."),
  z
    .strictObject({
      name: z.literal("torrent approval"),
      options: approval(infoHash, "torrents", "infohashes as 40 hexadecimal digits").prefault({}),
    })
    .meta({
      examples: [
        { name: "torrent approval", options: { blacklist: ["0123456789abcdef0123456789abcdef01234567"] } },
      ],
    })
    .describe("Refuses torrents by their infohash, with `unapproved torrent`, and hides them in scrapes."),
  z
    .strictObject({ name: z.literal("interval variation"), options: intervalVariation })
    .meta({
      examples: [
        {
          name: "interval variation",
          options: { modify_response_probability: 0.2, max_increase_delta: 60, modify_min_interval: true },
        },
      ],
    })
    .describe(
      "Spreads announces over time: lengthens the interval of some, always the same for the same peer and torrent.",
    ),
] as const;

const names = builtIn.map((hook) => hook.shape.name.value);

/** A hook of the lists `prehooks` and `posthooks`. */
export const hookSchema: z.ZodType<HookConfig> = z.discriminatedUnion("name", builtIn, {
  error: (issue) => {
    if (issue.code !== "invalid_union") return "expected a hook: a mapping with name and options";
    const { name } = issue.input as { name?: unknown };
    const known = `known hooks are ${names.map((known) => JSON.stringify(known)).join(", ")}`;
    if (typeof name !== "string") return `a hook needs a name; ${known}`;
    if (notYet.includes(name)) return `the hook ${JSON.stringify(name)} is not available yet in this version`;
    const near = nearest(name, names);
    return `unknown hook ${JSON.stringify(name.slice(0, 60))}; ${near ? `did you mean ${JSON.stringify(near)}?` : known}`;
  },
});
