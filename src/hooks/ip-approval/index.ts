import {
  type ApprovalOptions,
  type ListDefaults,
  listKeys,
  listNotLoaded,
} from "../../middleware/access-list/list-options.ts";
import { probeLists } from "../../middleware/access-list/probe-lists.ts";
import { defineHook, type HookDefinition, type WithDefaults } from "../../middleware/define-hook.ts";
import { networks, options } from "../../options/index.ts";
import { unapprovedAddress } from "./errors.ts";

/** The options of `ip approval`: networks in CIDR notation to allow, and to refuse. */
export type IpApprovalOptions = ApprovalOptions;

/** Allows peers by address. */
export const ipApproval: HookDefinition<
  IpApprovalOptions,
  WithDefaults<IpApprovalOptions, "whitelist" | "blacklist" | ListDefaults>
> = defineHook({
  name: "ip approval",
  description:
    "Refuses announces and scrapes by their source address, with `unapproved address`. Networks are in CIDR notation; the longest prefix that contains the address decides.",
  options: options({
    whitelist: networks()
      .default([])
      .describe(
        "Networks to allow. If there is a whitelist, here or in `whitelist_from`, an address in no network of either list is refused.",
      ),
    blacklist: networks().default([]).describe("Networks to refuse."),
    ...listKeys,
  }),
  example: { whitelist: ["192.0.2.7"], blacklist: ["192.0.2.0/24", "2001:db8::/32"] },
  errors: [unapprovedAddress, listNotLoaded],
  probes: (options) => probeLists(options, async () => (await import("./ip-approval.ts")).format),
  create: async (options, deps) => (await import("./ip-approval.ts")).createIpApproval(options, deps),
});
