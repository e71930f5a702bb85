import { longInfoHashRemedy, parseInfoHash } from "../../bittorrent/info-hash.ts";
import {
  type ApprovalOptions,
  checkOneList,
  type ListDefaults,
  listKeys,
  listNotLoaded,
} from "../../middleware/access-list/list-options.ts";
import { probeLists } from "../../middleware/access-list/probe-lists.ts";
import { defineHook, type HookDefinition, type WithDefaults } from "../../middleware/define-hook.ts";
import { list, options } from "../../options/index.ts";
import { unapprovedTorrent } from "./errors.ts";

/** The options of `torrent approval`: infohashes in hexadecimal to allow, or to refuse. */
export type TorrentApprovalOptions = ApprovalOptions;

function checkInfoHash(item: string): string | undefined {
  if (parseInfoHash(item) !== undefined) return undefined;
  if (/^[\da-f]{64}$/i.test(item)) return longInfoHashRemedy;
  const isHex = /^([\da-f]{2})*$/i.test(item);
  const wrong = isHex ? `hash ${item} is not 20 bytes` : `invalid hash ${item}`;
  return `${wrong}; expected 40 hexadecimal digits`;
}

/** Allows torrents by infohash. */
export const torrentApproval: HookDefinition<
  TorrentApprovalOptions,
  WithDefaults<TorrentApprovalOptions, "whitelist" | "blacklist" | ListDefaults>
> = defineHook({
  name: "torrent approval",
  description: "Refuses torrents by their infohash, with `unapproved torrent`, and hides them in scrapes.",
  options: options(
    {
      whitelist: list({ check: checkInfoHash })
        .default([])
        .describe("Allows only these torrents: infohashes of 40 hexadecimal digits."),
      blacklist: list({ check: checkInfoHash }).default([]).describe("Refuses these torrents."),
      ...listKeys,
    },
    { check: checkOneList },
  ),
  example: { blacklist: ["0123456789abcdef0123456789abcdef01234567"] },
  errors: [unapprovedTorrent, listNotLoaded],
  probes: (options) => probeLists(options, async () => (await import("./torrent-approval.ts")).format),
  create: async (options, deps) =>
    (await import("./torrent-approval.ts")).createTorrentApproval(options, deps),
});
