import type { ExternalIpOptions } from "../bittorrent/external-ip.ts";
import type { HttpOptions } from "../frontend/http/options.ts";
import type { UdpOptions } from "../frontend/udp/options.ts";
import type { ListenAddress } from "../ip/listen-address.ts";
import type { NetworkChoice } from "../net/network.ts";

/** Everything a tracker is told, checked and with its defaults. Durations are seconds. */
export interface Config {
  announceInterval: number;
  minAnnounceInterval: number;
  /** Where metrics and health are served; empty for nowhere. */
  metricsListen: readonly ListenAddress[];
  /** Whether profiles can be taken there. */
  profiling: boolean;
  /** Names by which they can, besides IP addresses and `localhost`; in lower case. */
  profilingHosts: readonly string[];
  shutdownTimeout: number;
  /** Threads that serve clients; `auto` follows the processors. */
  workers: number | "auto";
  network: NetworkChoice;
  /** Without an address, peers are stored under the one that they come from. */
  externalIp: ExternalIpOptions;
  /** Absent where the frontend is off. */
  http?: HttpOptions | undefined;
  udp?: UdpOptions | undefined;
  /** Those of somebody's own. */
  frontends: readonly ModuleFrontendConfig[];
  storage: StorageConfig;
  preHooks: readonly HookConfig[];
  postHooks: readonly HookConfig[];
}

/** A frontend of somebody's own. */
export interface ModuleFrontendConfig {
  name: "module";
  /** URL of the module. */
  module: string;
  /** What the module's schema made of them, or as they were written, with YAML's types. */
  options?: unknown;
}

/** Which store, with its options. */
export interface StorageConfig {
  /** `module` for one of somebody's own. */
  name: string;
  /** URL of that module. */
  module?: string | undefined;
  config?: unknown;
}

/** Which hook, with its options. */
export type HookConfig = BuiltInHookConfig | ModuleHookConfig;

/** A built-in hook. */
export interface BuiltInHookConfig {
  name: string;
  module?: undefined;
  options: unknown;
}

/** A hook of somebody's own. */
export interface ModuleHookConfig {
  name: "module";
  /** URL of the module. */
  module: string;
  /** As they were written, with YAML's types; the module's schema has accepted them. */
  options?: unknown;
  /** Seconds. */
  timeout: number;
  maxInFlight: number;
}
