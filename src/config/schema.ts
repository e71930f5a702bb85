import { ExternalIp, localNetworks } from "../bittorrent/external-ip.ts";
import { builtIn } from "../frontend/built-in.ts";
import type { FrontendDefinition } from "../frontend/define-frontend.ts";
import * as builtInHooks from "../hooks/index.ts";
import { defaultLimits } from "../middleware/with-deadline.ts";
import { adminOptions } from "../operator/admin-options.ts";
import {
  type AnyBlock,
  addresses,
  type Block,
  boolean,
  choice,
  duration,
  integer,
  integerOrAuto,
  list,
  networks,
  options,
  text,
  type Value,
} from "../options/index.ts";
import { privateOptions } from "../private/options.ts";
import * as builtInStores from "../storage/index.ts";
import type { Config, HookConfig, ModuleFrontendConfig, StorageConfig } from "./config.ts";
import { moduleField, UseList, UseValue } from "./uses.ts";

/** Describes the external address of a family; "" turns it off. */
function externalAddress(family: "ipv4" | "ipv6"): Value<string | undefined> {
  const check = (address: string) => {
    try {
      if (address !== "") new ExternalIp({ [family]: address });
      return undefined;
    } catch (error) {
      return (error as RangeError).message;
    }
  };
  return text({ check }).map((address) => address || undefined);
}

const externalIp = options({
  ipv4: externalAddress("ipv4")
    .default("")
    .describe('IPv4 address of peers that come from `networks`; "" keeps their own address.'),
  ipv6: externalAddress("ipv6")
    .default("")
    .describe('IPv6 address of peers that come from `networks`; "" keeps their own address.'),
  networks: networks()
    .default(localNetworks)
    .describe(
      "Networks and addresses whose peers get the external address: loopback, private and link-local.",
    ),
});

function hostName(text: string): string | undefined {
  return /^[a-z\d._-]+$/i.test(text)
    ? undefined
    : "expected a name without scheme and port: tracker.internal";
}

/** Describes the block of a built-in frontend; without the block the frontend is off. */
function frontendBlock({ options, description = "" }: FrontendDefinition): Value<unknown, unknown> {
  return (options as AnyBlock).optional().describe(description);
}

const frontend = new UseValue<ModuleFrontendConfig>({
  what: "frontend",
  optionsKey: "options",
  definitions: [],
  module: { module: moduleField("my-frontend", "defineFrontend") },
});

const storage = new UseValue<StorageConfig>({
  what: "store",
  optionsKey: "config",
  definitions: Object.values(builtInStores),
  byDefault: "memory",
  restart: true,
  module: { module: moduleField("my-store", "defineStore") },
});

const hook = new UseValue<HookConfig>({
  what: "hook",
  optionsKey: "options",
  definitions: Object.values(builtInHooks),
  module: {
    module: moduleField("my-hook", "defineHook"),
    timeout: duration(0.001)
      .default(`${defaultLimits.timeout}s`)
      .describe("How long a request waits for the promise of the hook."),
    max_in_flight: integer(1, 1_000_000)
      .default(defaultLimits.maxInFlight)
      .describe("Maximum number of requests that wait for the hook. Further requests are refused."),
  },
});

/** Describes the mapping under `chihaya:`. */
export const schema: Block<Config, unknown> = options({
  announce_interval: duration(1, { whole: true })
    .default("30m")
    .describe("Time between two announces of a client."),
  min_announce_interval: duration(0, { whole: true })
    .default("15m")
    .describe(
      "Minimum time that a client should wait between two announces (HTTP only); at most `announce_interval`. " +
        "With 0 a client may announce at any time.",
    ),
  metrics_addr: addresses({ restart: true })
    .as("metricsListen")
    .default("127.0.0.1:6880")
    .describe(
      'Where `/metrics` (for Prometheus), `/livez`, `/readyz` and `/version` are served; "" for nowhere. ' +
        "There is no password: keep it from the public.",
    ),
  profiling: boolean({ restart: true })
    .default("false")
    .describe("Whether `metrics_addr` also serves CPU and heap profiles."),
  profiling_hosts: list({ restart: true, check: hostName })
    .as("profilingHosts")
    .map((names) => names.map((name) => name.toLowerCase()))
    .default([])
    .describe(
      "Host names under which profiles may be requested, besides `localhost` and the address of the listener: `tracker.internal`. " +
        "Other names are refused, so that a web page cannot read profiles through an operator's browser.",
    ),
  admin: adminOptions
    .optional()
    .describe(
      "The admin API. Without a configuration file the API is on; with a file only if this block is " +
        "there, also without keys.",
    ),
  private: privateOptions
    .optional()
    .describe(
      "Makes a private tracker: announces need the passkey of a user and a torrent of the site, and traffic is credited. " +
        "See `docs/private.md`. Without this block the tracker is public.",
    ),
  shutdown_timeout: duration(0)
    .default("10s")
    .describe("How long a stopping tracker waits for the requests in progress."),
  workers: integerOrAuto(1, 64, { restart: true })
    .default("auto")
    .describe(
      "Number of threads that serve clients; all of them share the swarms. `auto` is one for each processor, at most 8. " +
        "With 1 the main thread serves.",
    ),
  network: choice(["auto", "linux", "portable"], { restart: true })
    .default("auto")
    .describe(
      "How the tracker sends and receives: `linux` batches system calls, `portable` uses Node.js, `auto` is `linux` " +
        "if it works on this machine, or else `portable`.",
    ),
  network_coalesce: duration(0, { maximum: 0.01 })
    .default("1ms")
    .describe(
      "How long a request may wait for others that the same wake-up of a thread serves, while requests come often. Saves " +
        "more than half of the CPU time at 5,000 to 60,000 requests a second. `0` serves every request at once. Only with `network: linux`.",
    ),
  external_ip: externalIp
    .default({})
    .describe(
      "Public address of peers in the tracker's own network. Without it, other peers get their private address, such as " +
        "127.0.0.1 or 10.x.",
    ),
  ...Object.fromEntries(builtIn.map((definition) => [definition.name, frontendBlock(definition)])),
  frontends: new UseList<ModuleFrontendConfig>(frontend, { restart: true })
    .default([])
    .describe("Your own frontends, each a `module` with `options`."),
  storage: storage.default({}).describe("The store, which keeps the swarms."),
  prehooks: new UseList<HookConfig>(hook)
    .default([])
    .describe("Hooks that run before the response, in this order. They may refuse the request.")
    .as("preHooks"),
  posthooks: new UseList<HookConfig>(hook)
    .default([])
    .describe("Hooks that run after the response, in this order.")
    .as("postHooks"),
});
