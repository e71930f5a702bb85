import { z } from "zod";
import type { IpApprovalOptions } from "../../hooks/ip-approval/ip-approval.ts";
import { parseNetwork } from "../../ip/networks.ts";
import { list } from "../values.ts";
import { type BuiltInHook, describeHook } from "./built-in.ts";
import { hasSources, listKeys, toListOptions } from "./list-options.ts";

/** What is wrong with a network, if anything. */
export function checkNetwork(item: string): string | undefined {
  try {
    parseNetwork(item);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

const options = z
  .strictObject({
    whitelist: list({ check: checkNetwork })
      .prefault([])
      .describe("Networks that are let in; with any, an address in no network is not."),
    blacklist: list({ check: checkNetwork }).prefault([]).describe("Networks that are not let in."),
    ...listKeys,
  })
  .transform(
    ({ whitelist, blacklist, ...rest }): IpApprovalOptions => ({
      whitelist,
      blacklist,
      ...(hasSources(rest) && { lists: toListOptions(rest) }),
    }),
  )
  .prefault({});

export const ipApproval: BuiltInHook<"ip approval", IpApprovalOptions> = describeHook(
  "ip approval",
  {
    description:
      "Refuses announces and scrapes by the address that they come from, with `unapproved address`. Networks as CIDR; of those that have the address the longest prefix decides.",
    example: { whitelist: ["192.0.2.7"], blacklist: ["192.0.2.0/24", "2001:db8::/32"] },
  },
  options,
);
