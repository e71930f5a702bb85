import type { ExternalIpOptions } from "../bittorrent/external-ip.ts";
import type { HttpOptions } from "../frontend/http/options.ts";
import type { UdpOptions } from "../frontend/udp/options.ts";
import type { ListenAddress } from "../ip/listen-address.ts";
import type { NetworkChoice } from "../net/network.ts";
import type { MemoryStoreConfig } from "../storage/memory/memory-store.ts";
import type { RedisStoreConfig } from "../storage/redis/config.ts";
import type { HookConfig } from "./hooks/hooks.ts";

/** Everything a tracker is told, checked and with its defaults. Durations are seconds. */
export interface Config {
  announceInterval: number;
  minAnnounceInterval: number;
  /** Where metrics and health are served; empty for nowhere. */
  metricsListen: readonly ListenAddress[];
  /** Whether profiles can be taken there. */
  profiling: boolean;
  shutdownTimeout: number;
  /** Threads that serve clients; `auto` follows the processors. */
  workers: number | "auto";
  network: NetworkChoice;
  /** Without an address, peers are stored under the one that they come from. */
  externalIp: ExternalIpOptions;
  /** Undefined where the frontend is off. */
  http: HttpOptions | undefined;
  udp: UdpOptions | undefined;
  storage: StorageConfig;
  preHooks: readonly HookConfig[];
  postHooks: readonly HookConfig[];
}

/** Which store, and what it is told. */
export type StorageConfig =
  | { name: "memory"; config: MemoryStoreConfig }
  | { name: "redis"; config: RedisStoreConfig };
