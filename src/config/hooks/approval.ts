import { z } from "zod";
import { clientIdLength } from "../../bittorrent/client-id.ts";
import { longInfoHashRemedy, parseInfoHash } from "../../bittorrent/info-hash.ts";
import type { ClientApprovalOptions } from "../../hooks/client-approval/client-approval.ts";
import type { TorrentApprovalOptions } from "../../hooks/torrent-approval/torrent-approval.ts";
import type { FixedLists } from "../../middleware/access-list/key-approval.ts";
import type { ListOptions } from "../../middleware/access-list/shared-list.ts";
import { list } from "../values.ts";
import { type BuiltInHook, describeHook } from "./built-in.ts";
import { hasSources, listKeys, toListOptions } from "./list-options.ts";

function clientId(item: string): string | undefined {
  const { length } = new TextEncoder().encode(item);
  return length === clientIdLength
    ? undefined
    : `client ID ${item} must be ${clientIdLength} bytes, not ${length}`;
}

function infoHash(item: string): string | undefined {
  if (parseInfoHash(item) !== undefined) return undefined;
  if (/^[\da-f]{64}$/i.test(item)) return longInfoHashRemedy;
  const isHex = /^([\da-f]{2})*$/i.test(item);
  const wrong = isHex ? `hash ${item} is not 20 bytes` : `invalid hash ${item}`;
  return `${wrong}; expected 40 hexadecimal digits`;
}

function approval(
  check: (item: string) => string | undefined,
  what: string,
  example: string,
): z.ZodType<FixedLists & { lists?: ListOptions }> {
  return z
    .strictObject({
      whitelist: list({ check }).prefault([]).describe(`Only these ${what} are let in; ${example}.`),
      blacklist: list({ check }).prefault([]).describe(`All ${what} but these are let in.`),
      ...listKeys,
    })
    .check((context) => {
      const { whitelist, blacklist, whitelist_from, blacklist_from } = context.value;
      if (whitelist.length + whitelist_from.length === 0) return;
      if (blacklist.length + blacklist_from.length === 0) return;
      const message = "using both whitelist and blacklist is invalid; remove one of the two";
      const key = blacklist.length > 0 ? "blacklist" : "blacklist_from";
      context.issues.push({ code: "custom", message, input: context.value, path: [key] });
    })
    .transform(({ whitelist, blacklist, ...rest }) => ({
      whitelist,
      blacklist,
      ...(hasSources(rest) && { lists: toListOptions(rest) }),
    }))
    .prefault({});
}

export const clientApproval: BuiltInHook<"client approval", ClientApprovalOptions> = describeHook(
  "client approval",
  {
    description: "Refuses announces by the client that sends them, with `unapproved client`.",
    example: { whitelist: ["TR4100", "qB5120"] },
  },
  approval(clientId, "clients", "the six bytes of a peer id that name client and version"),
);

export const torrentApproval: BuiltInHook<"torrent approval", TorrentApprovalOptions> = describeHook(
  "torrent approval",
  {
    description: "Refuses torrents by their infohash, with `unapproved torrent`, and hides them in scrapes.",
    example: { blacklist: ["0123456789abcdef0123456789abcdef01234567"] },
  },
  approval(infoHash, "torrents", "infohashes as 40 hexadecimal digits"),
);
