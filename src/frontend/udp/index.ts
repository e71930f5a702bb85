import { randomBytes } from "node:crypto";
import { addresses, boolean, duration, integer, list, options, removed, text } from "../../options/index.ts";
import { commonOptions, defaultAddresses, mostNumWant } from "../common-options.ts";
import { defaultsOf, defineFrontend, type FrontendDefinition, warnOfMissing } from "../define-frontend.ts";
import { checkUdp } from "./check.ts";
import type { UdpOptions } from "./options.ts";
import { udpRequests } from "./requests.ts";

/** Scraped infohashes that fit in a UDP response of 1,500 bytes (BEP 15). */
const mostUdpScrape = 74;

/** Announces and scrapes over UDP. */
export const udp: FrontendDefinition<UdpOptions, Partial<UdpOptions>> = defineFrontend({
  name: "udp",
  description: "The UDP frontend. Remove the block to turn it off.",
  byDefault: true,
  options: options({
    addr: addresses({ restart: true })
      .as("listen")
      .default(defaultAddresses)
      .describe(
        "Address or list of addresses to listen on. `:6969`, and `[::]:6969` alone, mean IPv4 and IPv6.",
      ),
    private_key: text({ restart: true, secret: true, open: "empty" })
      .default("")
      .describe(
        "Secret for connection ids. Trackers behind one address must have the same secret. " +
          'With "" the tracker chooses a random secret at each start, so that clients must connect again after a restart.',
      ),
    max_clock_skew: duration(0)
      .default("10s")
      .describe("Maximum difference between the clocks of trackers with the same `private_key`."),
    enable_request_timing: commonOptions.enable_request_timing,
    allow_ip_spoofing: boolean()
      .default(false)
      .describe(
        "Whether to believe the address field of an announce. If true, any client can announce any address.",
      ),
    ip_spoofing_from: commonOptions.ip_spoofing_from,
    max_connection_id_errors: removed(
      "each worker sends an address at most 32 `bad connection ID` errors per second",
    ),
    receive_buffer: integer(65_536, 1_073_741_824, { restart: true })
      .default(8_388_608)
      .describe(
        "Size of the receive buffer of each socket in bytes, for bursts. Linux limits it to `net.core.rmem_max`; the " +
          "tracker logs a lower limit.",
      ),
    max_numwant: commonOptions.max_numwant,
    default_numwant: integer(1, mostNumWant)
      .as("defaultNumWant")
      .default(50)
      .describe(
        "Number of peers for a client that asks for no number, or that asks for 0 peers while it downloads; at most " +
          "`max_numwant`.",
      ),
    max_scrape_infohashes: integer(1, mostUdpScrape)
      .as("maxScrapeInfoHashes")
      .default(74)
      .describe(
        `Maximum number of infohashes in a response to a scrape; a packet has room for ${mostUdpScrape}.`,
      ),
    announce_routes: list()
      .default(["/announce"])
      .describe(
        "Patterns like those of HTTP, for the path that a client may send with an announce (BEP 41). `/:name/announce` " +
          "passes a part of the path to hooks as a parameter. The tracker serves announces with any path.",
      ),
  }),
  listens: [{ key: "addr", option: "listen", transport: "udp" }],
  requests: udpRequests,
  // Connection ids must be valid in all workers.
  complete: (options) =>
    options.privateKey === "" ? { ...options, privateKey: randomBytes(32).toString("hex") } : options,
  check: checkUdp,
  create: async (options, { network, logger, ...deps }) => {
    const { UdpFrontend } = await import("./udp-frontend.ts");
    const onSmallBuffer = (granted: number, wanted: number) =>
      logger.info(
        { granted, wanted },
        "UDP receive buffers are smaller than configured; raise net.core.rmem_max",
      );
    const onMissing = warnOfMissing(logger);
    return new UdpFrontend(options, { ...deps, bind: network.bindDatagram, onMissing, onSmallBuffer });
  },
});

/** The default options, without `listen`. */
export const udpDefaults: Omit<UdpOptions, "listen"> = defaultsOf(udp);
