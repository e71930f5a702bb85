import type { ExternalIpOptions } from "../bittorrent/external-ip.ts";
import type { FrontendBlocks } from "../frontend/built-in.ts";
import type { ListenAddress } from "../ip/listen-address.ts";
import type { NetworkChoice } from "../net/network.ts";
import type { AdminOptions } from "../operator/admin-options.ts";
import type { PrivateOptions } from "../private/options.ts";

/** A checked configuration, with defaults filled in. Durations are seconds. Each built-in frontend has a block of its name. */
export interface Config extends FrontendBlocks {
  announceInterval: number;
  minAnnounceInterval: number;
  /** Addresses of the metrics and health routes; empty turns them off. */
  metricsListen: readonly ListenAddress[];
  /** Whether `metricsListen` serves profiles. */
  profiling: boolean;
  /** Host names, besides IP addresses and `localhost`, under which profiles may be requested; in lower case. */
  profilingHosts: readonly string[];
  shutdownTimeout: number;
  /** Threads that serve clients; `auto` follows the processors. */
  workers: number | "auto";
  network: NetworkChoice;
  /** Seconds that a request may wait for others. */
  networkCoalesce: number;
  /** Without an external address, a peer is stored under its source address. */
  externalIp: ExternalIpOptions;
  /** Undefined if the admin API and the dashboard are off. */
  admin?: AdminOptions | undefined;
  /** Undefined for a public tracker. */
  private?: PrivateOptions | undefined;
  /** Third-party frontends. */
  frontends: readonly ModuleFrontendConfig[];
  storage: StorageConfig;
  preHooks: readonly HookConfig[];
  postHooks: readonly HookConfig[];
}

/** The use of a third-party frontend. */
export interface ModuleFrontendConfig {
  name: "module";
  /** URL of the module. */
  module: string;
  /** The output of the module's schema; before the check, the values as written, with YAML's types. */
  options?: unknown;
}

/** The choice of a store, with its options. */
export interface StorageConfig {
  /** `module` for a third-party store. */
  name: string;
  /** URL of the module of a third-party store. */
  module?: string | undefined;
  config?: unknown;
}

/** The use of a hook, with its options. */
export type HookConfig = BuiltInHookConfig | ModuleHookConfig;

/** The use of a built-in hook. */
export interface BuiltInHookConfig {
  name: string;
  module?: undefined;
  options: unknown;
}

/** The use of a third-party hook. */
export interface ModuleHookConfig {
  name: "module";
  /** URL of the module. */
  module: string;
  /** The values as written, with YAML's types; the module's schema has accepted them. */
  options?: unknown;
  /** Seconds. */
  timeout: number;
  maxInFlight: number;
}
