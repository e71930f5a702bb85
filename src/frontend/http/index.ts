import { quote } from "../../lib/quote.ts";
import { addresses, boolean, duration, integer, list, networks, options, text } from "../../options/index.ts";
import { commonOptions, defaultAddresses } from "../common-options.ts";
import { defaultsOf, defineFrontend, type FrontendDefinition, warnOfMissing } from "../define-frontend.ts";
import { checkHttp } from "./check.ts";
import type { HttpOptions } from "./options.ts";

/** Shortest timeout: a millisecond. */
const moment = 0.001;

function headerName(text: string): string | undefined {
  return /^[\w!#$%&'*+.^`|~-]*$/.test(text) ? undefined : `${quote(text)} is not the name of a header`;
}

/** Announces and scrapes over HTTP and HTTPS. */
export const http: FrontendDefinition<HttpOptions, Partial<HttpOptions>> = defineFrontend({
  name: "http",
  description: "The HTTP and HTTPS frontend. Remove the block to turn it off.",
  options: options({
    addr: addresses({ restart: true })
      .as("listen")
      .default(defaultAddresses)
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
    read_timeout: duration(moment).default("5s").describe("Time for a whole request to arrive."),
    write_timeout: duration(moment).default("5s").describe("Time for a client to take a response."),
    idle_timeout: duration(moment)
      .default("30s")
      .describe("Time that an open connection may wait for its next request."),
    enable_keepalive: boolean()
      .as("keepAlive")
      .default(true)
      .describe("Whether a connection stays open for more requests. Proxies and many clients use that."),
    enable_request_timing: commonOptions.enable_request_timing,
    announce_routes: list()
      .default(["/announce"])
      .describe(
        "Paths of announces. `/:name/announce` takes a part of the path as a parameter for hooks, `/x/*name` the rest of it.",
      ),
    scrape_routes: list().default(["/scrape"]).describe("Paths of scrapes."),
    allow_ip_spoofing: boolean()
      .default(false)
      .describe(
        "Whether `ip`, `ipv4` and `ipv6` of an announce are believed. Then anybody can announce anybody. `ip` replaces the " +
          "client's address, and so does `ipv4` or `ipv6` of its family; one of the other family is announced too.",
      ),
    ip_spoofing_from: commonOptions.ip_spoofing_from,
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
      .default(false)
      .describe(
        "Whether connections from `trusted_proxies` begin with a PROXY protocol header (version 1 or 2).",
      ),
    max_numwant: commonOptions.max_numwant,
    default_numwant: commonOptions.default_numwant,
    max_scrape_infohashes: integer(1, 1000)
      .as("maxScrapeInfoHashes")
      .default(74)
      .describe("Most infohashes that one scrape is answered for; the others are left out."),
    max_connections: integer(1, 1_000_000)
      .default(16_384)
      .describe(
        "Open connections; above it, the one that has waited longest for its client is closed. A quarter of them " +
          "at most come from one address, unless it is in `trusted_proxies`. Needs as many file descriptors.",
      ),
    max_header_bytes: integer(512, 65_536)
      .default(16_384)
      .describe("Longest request line and headers together."),
  }),
  listens: [
    { key: "addr", option: "listen", transport: "tcp" },
    { key: "https_addr", option: "listenTls", transport: "tcp" },
  ],
  // Listeners that stay until the restart keep their certificate where none is named any more.
  keepsUnset: ["tls"],
  check: checkHttp,
  create: async (options, { network, logger, ...deps }) => {
    const { HttpFrontend } = await import("./http-frontend.ts");
    const { listenStream: listen } = network;
    return new HttpFrontend(options, { ...deps, listen, onMissing: warnOfMissing(logger) });
  },
});

/** What the frontend does unless its options say otherwise; where it listens has no default here. */
export const httpDefaults: Omit<HttpOptions, "listen"> = defaultsOf(http);
