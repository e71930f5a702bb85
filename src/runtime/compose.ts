import type { Config } from "../config/config.ts";
import type { HookConfig } from "../config/hooks.ts";
import { createClientApproval } from "../middleware/client-approval/client-approval.ts";
import type { Hook } from "../middleware/hook.ts";
import { createIntervalVariation } from "../middleware/interval-variation/interval-variation.ts";
import { createTorrentApproval } from "../middleware/torrent-approval/torrent-approval.ts";
import type { TrackerSettings } from "./tracker.ts";

/** Makes what a configuration asks for, with hooks of its own that have not been started. */
export function composeSettings(config: Config): TrackerSettings {
  return {
    interval: config.announceInterval,
    minInterval: Math.min(config.minAnnounceInterval, config.announceInterval),
    preHooks: config.preHooks.map(createHook),
    postHooks: config.postHooks.map(createHook),
    http: config.http,
    udp: config.udp,
  };
}

function createHook(hook: HookConfig): Hook {
  switch (hook.name) {
    case "client approval":
      return createClientApproval(hook.options);
    case "torrent approval":
      return createTorrentApproval(hook.options);
    case "interval variation":
      return createIntervalVariation(hook.options);
  }
}
