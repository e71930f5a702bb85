import { clientIdLength } from "../../bittorrent/client-id.ts";
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
import { unapprovedClient } from "./errors.ts";

/** The options of `client approval`: client ids of six bytes to allow, or to refuse. */
export type ClientApprovalOptions = ApprovalOptions;

function checkClientId(item: string): string | undefined {
  const { length } = new TextEncoder().encode(item);
  return length === clientIdLength
    ? undefined
    : `client ID ${item} must be ${clientIdLength} bytes, not ${length}`;
}

/** Allows announces by client. */
export const clientApproval: HookDefinition<
  ClientApprovalOptions,
  WithDefaults<ClientApprovalOptions, "whitelist" | "blacklist" | ListDefaults>
> = defineHook({
  name: "client approval",
  description: "Refuses announces by the client that sends them, with `unapproved client`.",
  options: options(
    {
      whitelist: list({ check: checkClientId })
        .default([])
        .describe("Allows only these clients: the six bytes of a peer id that name client and version."),
      blacklist: list({ check: checkClientId }).default([]).describe("Refuses these clients."),
      ...listKeys,
    },
    { check: checkOneList },
  ),
  example: { whitelist: ["TR4100", "qB5120"] },
  errors: [unapprovedClient, listNotLoaded],
  probes: (options) => probeLists(options, async () => (await import("./client-approval.ts")).format),
  create: async (options, deps) => (await import("./client-approval.ts")).createClientApproval(options, deps),
});
