import {
  type ApprovalOptions,
  type ListDefaults,
  listKeys,
  listNotLoaded,
  separateLists,
} from "../../middleware/access-list/list-options.ts";
import { defineHook, type HookDefinition, type WithDefaults } from "../../middleware/define-hook.ts";
import { networks, options } from "../../options/index.ts";
import { unapprovedAddress } from "./errors.ts";

/** What `ip approval` takes: networks in CIDR notation that are let in, and that are not. */
export type IpApprovalOptions = ApprovalOptions;

/** Lets peers pass by address. */
export const ipApproval: HookDefinition<
  IpApprovalOptions,
  WithDefaults<IpApprovalOptions, "whitelist" | "blacklist" | ListDefaults>
> = defineHook({
  name: "ip approval",
  description:
    "Refuses announces and scrapes by the address that they come from, with `unapproved address`. Networks as CIDR; of those that have the address the longest prefix decides.",
  options: options({
    whitelist: networks()
      .default([])
      .describe("Networks that are let in; with any, an address in no network is not."),
    blacklist: networks().default([]).describe("Networks that are not let in."),
    ...listKeys,
  }),
  example: { whitelist: ["192.0.2.7"], blacklist: ["192.0.2.0/24", "2001:db8::/32"] },
  errors: [unapprovedAddress, listNotLoaded],
  async create(options, deps) {
    const { createIpApproval } = await import("./ip-approval.ts");
    const { fixed, lists } = separateLists(options);
    return createIpApproval({ ...fixed, ...(lists && { lists }) }, deps);
  },
});
