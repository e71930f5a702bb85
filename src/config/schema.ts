import { ExternalIp, localNetworks } from "../bittorrent/external-ip.ts";
import { type HttpOptions, httpDefaults } from "../frontend/http/options.ts";
import { udpDefaults } from "../frontend/udp/options.ts";
import * as builtInHooks from "../hooks/index.ts";
import { quote } from "../lib/quote.ts";
import { defaultLimits } from "../middleware/with-deadline.ts";
import {
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
import type { Config, HookConfig, StorageConfig } from "./config.ts";
import { moduleField, UseList, UseValue } from "./uses.ts";

/** Shortest timeout: a millisecond. */
const moment = 0.001;
/** Most peers that an announce can be answered with. */
const mostNumWant = 10_000;
/** Scraped infohashes that fit in a UDP response of 1,500 bytes (BEP 15). */
const mostUdpScrape = 74;

const defaultAddr = ["0.0.0.0:6969", "[::]:6969"];

/** Options that both frontends have. */
const common = {
  enable_request_timing: boolean()
    .as("requestTiming")
    .default("false")
    .describe(
      "Whether responses are timed, for percentiles; it costs up to half a microsecond a request. Without it, the histogram " +
        "of response times counts each as 0.",
    ),
  max_numwant: integer(1, mostNumWant)
    .as("maxNumWant")
    .default(`${httpDefaults.maxNumWant}`)
    .describe("Most peers that an announce is answered with."),
  default_numwant: integer(1, mostNumWant)
    .as("defaultNumWant")
    .default(`${httpDefaults.defaultNumWant}`)
    .describe("Peers for a client that does not say how many it wants; never more than `max_numwant`."),
  ip_spoofing_from: networks()
    .default([])
    .describe(
      "Addresses and networks of the clients for which `allow_ip_spoofing` holds: `10.0.0.0/8`. Without any it holds for all.",
    ),
};

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

function headerName(text: string): string | undefined {
  return /^[\w!#$%&'*+.^`|~-]*$/.test(text) ? undefined : `${quote(text)} is not the name of a header`;
}

const http = options({
  addr: addresses({ restart: true })
    .as("listen")
    .default(defaultAddr)
    .describe(
      "Where HTTP is served: one address or a list. `:6969`, and `[::]:6969` alone, are IPv4 and IPv6. " +
        'Without it, `https_addr` is served alone; "" turns plain HTTP off.',
    ),
  https_addr: addresses({ restart: true })
    .as("listenTls")
    .default([])
    .describe("Where HTTPS is served; needs `tls_cert_path` and `tls_key_path`."),
  tls_cert_path: text()
    .withoutOutput()
    .default("")
    .describe("File with the certificate and its chain, in PEM. Read again by a reload."),
  tls_key_path: text()
    .withoutOutput()
    .default("")
    .describe("File with the key of the certificate, in PEM. Read again by a reload."),
  read_timeout: duration(moment)
    .default(`${httpDefaults.readTimeout}s`)
    .describe("Time for a whole request to arrive."),
  write_timeout: duration(moment)
    .default(`${httpDefaults.writeTimeout}s`)
    .describe("Time for a client to take a response."),
  idle_timeout: duration(moment)
    .default(`${httpDefaults.idleTimeout}s`)
    .describe("Time that an open connection may wait for its next request."),
  enable_keepalive: boolean()
    .as("keepAlive")
    .default(`${httpDefaults.keepAlive}`)
    .describe("Whether a connection stays open for more requests. Proxies and many clients use that."),
  enable_request_timing: common.enable_request_timing,
  announce_routes: list()
    .default([...httpDefaults.announceRoutes])
    .describe(
      "Paths of announces. `/:name/announce` takes a part of the path as a parameter for hooks, `/x/*name` the rest of it.",
    ),
  scrape_routes: list()
    .default([...httpDefaults.scrapeRoutes])
    .describe("Paths of scrapes."),
  allow_ip_spoofing: boolean()
    .default("false")
    .describe(
      "Whether `ip`, `ipv4` and `ipv6` of an announce are believed. Then anybody can announce anybody. `ip` replaces the " +
        "client's address, and so does `ipv4` or `ipv6` of its family; one of the other family is announced too.",
    ),
  ip_spoofing_from: common.ip_spoofing_from,
  real_ip_header: text({ check: headerName })
    .map((header) => header.toLowerCase())
    .default("")
    .describe(
      "Header in which a reverse proxy names the client, as `x-forwarded-for`. Believed only from `trusted_proxies`.",
    ),
  trusted_proxies: networks()
    .default([])
    .describe(
      "Addresses and networks of your reverse proxies: `127.0.0.1`, `10.0.0.0/8`. Nobody else can name a client.",
    ),
  proxy_protocol: boolean()
    .default("false")
    .describe(
      "Whether connections from `trusted_proxies` begin with a PROXY protocol header (version 1 or 2).",
    ),
  max_numwant: common.max_numwant,
  default_numwant: common.default_numwant,
  max_scrape_infohashes: integer(1, 1000)
    .as("maxScrapeInfoHashes")
    .default(`${httpDefaults.maxScrapeInfoHashes}`)
    .describe("Most infohashes that one scrape is answered for; the others are left out."),
  max_connections: integer(1, 1_000_000)
    .default(`${httpDefaults.maxConnections}`)
    .describe(
      "Open connections; above it, the one that has waited longest for its client is closed. A quarter of them " +
        "at most come from one address, unless it is in `trusted_proxies`. Needs as many file descriptors.",
    ),
  max_header_bytes: integer(512, 65_536)
    .default(`${httpDefaults.maxHeaderBytes}`)
    .describe("Longest request line and headers together."),
});

const udp = options({
  addr: addresses({ restart: true })
    .as("listen")
    .default(defaultAddr)
    .describe(
      "Where UDP is served: one address or a list. `:6969`, and `[::]:6969` alone, are IPv4 and IPv6.",
    ),
  private_key: text({ restart: true, secret: true })
    .default("")
    .describe(
      "Secret behind the connection ids. Trackers that stand in for each other share it; " +
        '"" makes a random one at start, and clients must connect anew after a restart.',
    ),
  max_clock_skew: duration(0)
    .default(`${udpDefaults.maxClockSkew}s`)
    .describe("How far the clocks of trackers with one `private_key` may be apart."),
  enable_request_timing: common.enable_request_timing,
  allow_ip_spoofing: boolean()
    .default("false")
    .describe("Whether the address field of an announce is believed. Then anybody can announce anybody."),
  ip_spoofing_from: common.ip_spoofing_from,
  max_connection_id_errors: integer(0, 65_535)
    .default(`${udpDefaults.maxConnectionIdErrors}`)
    .describe(
      "Bad connection IDs a second that an address (of IPv6: 64 bits of it) is told of by each worker; the rest get silence. " +
        "With 0 all do.",
    ),
  receive_buffer: integer(65_536, 1_073_741_824, { restart: true })
    .default(`${udpDefaults.receiveBuffer}`)
    .describe(
      "Bytes of each socket's receive buffer, for bursts. Linux grants up to `net.core.rmem_max`; a log line says " +
        "when that is less.",
    ),
  max_numwant: common.max_numwant,
  default_numwant: integer(1, mostNumWant)
    .as("defaultNumWant")
    .default(udpDefaults.defaultNumWant)
    .describe(
      "Peers for a client that does not say how many it wants, or that says 0 while it downloads; never more than " +
        "`max_numwant`.",
    ),
  max_scrape_infohashes: integer(1, mostUdpScrape)
    .as("maxScrapeInfoHashes")
    .default(`${udpDefaults.maxScrapeInfoHashes}`)
    .describe(`Most infohashes that one scrape is answered for; a packet has room for ${mostUdpScrape}.`),
  announce_routes: list()
    .default(["/announce"])
    .describe(
      "Patterns as those of HTTP, for the path that a client sends with an announce (BEP 41): `/:name/announce` takes a " +
        "part of it as a parameter for hooks. An announce with any other path is answered too.",
    ),
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

/** What stands under `chihaya:`. One description of it all: defaults, checks and texts live here only. */
const tracker: Block<Omit<Config, "http"> & { http?: Omit<HttpOptions, "tls"> | undefined }, unknown> =
  options({
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
    http: http.optional().describe("The HTTP and HTTPS frontend. Remove the block to turn it off."),
    udp: udp.optional().describe("The UDP frontend. Remove the block to turn it off."),
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

/** The same, with the certificates that are read once all else is known to be right. */
export const schema: Block<Config, unknown> = tracker as Block<Config, unknown>;
