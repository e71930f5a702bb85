import { createClientApproval } from "../../src/hooks/client-approval/client-approval.ts";
import { createTorrentApproval } from "../../src/hooks/torrent-approval/torrent-approval.ts";
import type { ApprovalOptions } from "../../src/middleware/access-list/list-options.ts";
import type { HookDeps } from "../../src/middleware/define-hook.ts";
import type { Hook } from "../../src/middleware/hook.ts";

/** Options of a hook with lists; omitted options have defaults. */
export function approvalOptions(given: Partial<ApprovalOptions>): ApprovalOptions {
  return {
    ...{ whitelist: [], blacklist: [], whitelistFrom: [], blacklistFrom: [] },
    ...{ checkInterval: 10, fetchInterval: 300, maxEntries: 1000, onFailure: "refuse" },
    ...given,
  };
}

type Entries = Partial<Pick<ApprovalOptions, "whitelist" | "blacklist">>;

/** The collaborators of a hook without files and URLs. */
const noDeps = {
  shared: { buffer: async (_name: string, bytes: number) => new SharedArrayBuffer(bytes) },
} as HookDeps;

/** Creates a hook whose list is in the config. */
export const approveClients = (entries: Entries): Promise<Hook> =>
  createClientApproval(approvalOptions(entries), noDeps);

/** Creates a hook whose list is in the config. */
export const approveTorrents = (entries: Entries): Promise<Hook> =>
  createTorrentApproval(approvalOptions(entries), noDeps);
