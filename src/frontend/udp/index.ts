import { randomBytes } from "node:crypto";
import { addresses, boolean, duration, integer, list, options, removed, text } from "../../options/index.ts";
import { commonOptions, defaultAddresses, mostNumWant } from "../common-options.ts";
import { defaultsOf, defineFrontend, type FrontendDefinition, warnOfMissing } from "../define-frontend.ts";
import { checkUdp } from "./check.ts";
import type { UdpOptions } from "./options.ts";

/** Scraped infohashes that fit in a UDP response of 1,500 bytes (BEP 15). */
const mostUdpScrape = 74;

/** Announces and scrapes over UDP. */
export const udp: FrontendDefinition<UdpOptions, Partial<UdpOptions>> = defineFrontend({
  name: "udp",
  description: "The UDP frontend. Remove the block to turn it off.",
  options: options({
    addr: addresses({ restart: true })
      .as("listen")
      .default(defaultAddresses)
      .describe(
        "Where UDP is served: one address or a list. `:6969`, and `[::]:6969` alone, are IPv4 and IPv6.",
      ),
    private_key: text({ restart: true, secret: true, open: "empty" })
      .default("")
      .describe(
        "Secret behind the connection ids. Trackers that stand in for each other share it; " +
          '"" makes a random one at start, and clients must connect anew after a restart.',
      ),
    max_clock_skew: duration(0)
      .default("10s")
      .describe("How far the clocks of trackers with one `private_key` may be apart."),
    enable_request_timing: commonOptions.enable_request_timing,
    allow_ip_spoofing: boolean()
      .default(false)
      .describe("Whether the address field of an announce is believed. Then anybody can announce anybody."),
    ip_spoofing_from: commonOptions.ip_spoofing_from,
    max_connection_id_errors: removed(
      "each worker sends an address up to 32 `bad connection ID` errors per second",
    ),
    receive_buffer: integer(65_536, 1_073_741_824, { restart: true })
      .default(8_388_608)
      .describe(
        "Bytes of each socket's receive buffer, for bursts. Linux grants up to `net.core.rmem_max`; a log line says " +
          "when that is less.",
      ),
    max_numwant: commonOptions.max_numwant,
    default_numwant: integer(1, mostNumWant)
      .as("defaultNumWant")
      .default(50)
      .describe(
        "Peers for a client that does not say how many it wants, or that says 0 while it downloads; never more than " +
          "`max_numwant`.",
      ),
    max_scrape_infohashes: integer(1, mostUdpScrape)
      .as("maxScrapeInfoHashes")
      .default(74)
      .describe(`Most infohashes that one scrape is answered for; a packet has room for ${mostUdpScrape}.`),
    announce_routes: list()
      .default(["/announce"])
      .describe(
        "Patterns as those of HTTP, for the path that a client sends with an announce (BEP 41): `/:name/announce` takes a " +
          "part of it as a parameter for hooks. An announce with any other path is answered too.",
      ),
  }),
  listens: [{ key: "addr", option: "listen", transport: "udp" }],
  // Connection ids must be valid in all workers.
  complete: (options) =>
    options.privateKey === "" ? { ...options, privateKey: randomBytes(32).toString("hex") } : options,
  check: checkUdp,
  create: async (options, { network, logger, ...deps }) => {
    const { UdpFrontend } = await import("./udp-frontend.ts");
    const onSmallBuffer = (granted: number, wanted: number) =>
      logger.info(
        { granted, wanted },
        "UDP receive buffers are smaller than wanted; raise net.core.rmem_max",
      );
    const onMissing = warnOfMissing(logger);
    return new UdpFrontend(options, { ...deps, bind: network.bindDatagram, onMissing, onSmallBuffer });
  },
});

/** What the frontend does unless its options say otherwise; where it listens has no default here. */
export const udpDefaults: Omit<UdpOptions, "listen"> = defaultsOf(udp);
