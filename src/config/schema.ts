import { ExternalIp, localNetworks } from "../bittorrent/external-ip.ts";
import type { FrontendDefinition } from "../frontend/define-frontend.ts";
import * as builtInHooks from "../hooks/index.ts";
import { defaultLimits } from "../middleware/with-deadline.ts";
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
import * as builtInStores from "../storage/index.ts";
import type { Config, HookConfig, ModuleFrontendConfig, StorageConfig } from "./config.ts";
import { builtIn } from "./frontends.ts";
import { moduleField, UseList, UseValue } from "./uses.ts";

/** An address that peers can be stored under; "" for none. */
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
    .describe('IPv4 address of those that come from `networks`; "" leaves them theirs.'),
  ipv6: externalAddress("ipv6")
    .default("")
    .describe('IPv6 address of those that come from `networks`; "" leaves them theirs.'),
  networks: networks()
    .default(localNetworks)
    .describe("Addresses and networks that it stands for: loopback, private and link-local ones."),
});

function hostName(text: string): string | undefined {
  return /^[a-z\d._-]+$/i.test(text)
    ? undefined
    : "expected a name without scheme and port: tracker.internal";
}

/** The block of a built-in frontend, which is off without it. */
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
      .describe("Time after which a request does not wait any longer for a hook that answers later."),
    max_in_flight: integer(1, 1_000_000)
      .default(defaultLimits.maxInFlight)
      .describe("Requests that may wait for the hook at once; the next are refused."),
  },
});

/** What stands under `chihaya:`. */
export const schema: Block<Config, unknown> = options({
  announce_interval: duration(1, { whole: true })
    .default("30m")
    .describe("Time between two announces of a client."),
  min_announce_interval: duration(0, { whole: true })
    .default("15m")
    .describe(
      "Time that clients are asked to wait at least between two announces (HTTP only); never more than the above. " +
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
    .describe("Whether CPU and heap profiles can be taken from `metrics_addr`."),
  profiling_hosts: list({ restart: true, check: hostName })
    .as("profilingHosts")
    .map((names) => names.map((name) => name.toLowerCase()))
    .default([])
    .describe(
      "Names by which browsers and tools may ask for profiles, besides `localhost` and IP addresses: " +
        "`tracker.internal`. Without them a web page could read profiles through an operator's browser.",
    ),
  shutdown_timeout: duration(0)
    .default("10s")
    .describe("Time for requests under way when the tracker is stopped."),
  workers: integerOrAuto(1, 64, { restart: true })
    .default("auto")
    .describe(
      "Threads that serve clients, all over the same swarms: `auto` is one for each processor, 8 at most. " +
        "With 1 the main thread serves.",
    ),
  network: choice(["auto", "linux", "portable"], { restart: true })
    .default("auto")
    .describe(
      "How packets reach the kernel: `linux` in batches of system calls, `portable` through Node.js, `auto` " +
        "the first where it runs.",
    ),
  external_ip: externalIp
    .default({})
    .describe(
      "The address that the world reaches peers beside the tracker by. Without it they are listed as 127.0.0.1 or 10.x.",
    ),
  ...Object.fromEntries(builtIn.map((definition) => [definition.name, frontendBlock(definition)])),
  frontends: new UseList<ModuleFrontendConfig>(frontend, { restart: true })
    .default([])
    .describe("Frontends of your own, each a `module` with `options`."),
  storage: storage.default({}).describe("Where the swarms are kept."),
  prehooks: new UseList<HookConfig>(hook)
    .default([])
    .describe("Hooks that see a request before it is answered, in this order, and may refuse it.")
    .as("preHooks"),
  posthooks: new UseList<HookConfig>(hook)
    .default([])
    .describe("Hooks that see a request after it has been answered, in this order.")
    .as("postHooks"),
});
