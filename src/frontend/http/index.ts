import { quote } from "../../lib/quote.ts";
import { addresses, boolean, duration, integer, list, networks, options, text } from "../../options/index.ts";
import { commonOptions, defaultAddresses } from "../common-options.ts";
import { defaultsOf, defineFrontend, type FrontendDefinition, warnOfMissing } from "../define-frontend.ts";
import { checkHttp } from "./check.ts";
import { opentrackerOptions } from "./opentracker/options.ts";
import type { HttpOptions } from "./options.ts";
import { httpRequests } from "./requests.ts";

/** Shortest timeout: a millisecond. */
const moment = 0.001;

function headerName(text: string): string | undefined {
  return /^[\w!#$%&'*+.^`|~-]*$/.test(text) ? undefined : `${quote(text)} is not the name of a header`;
}

/** Announces and scrapes over HTTP and HTTPS. */
export const http: FrontendDefinition<HttpOptions, Partial<HttpOptions>> = defineFrontend({
  name: "http",
  description: "The HTTP and HTTPS frontend. Remove the block to turn it off.",
  byDefault: true,
  options: options({
    addr: addresses({ restart: true })
      .as("listen")
      .default(defaultAddresses)
      .describe(
        "Address or list of addresses to listen on for HTTP. `:6969`, and `[::]:6969` alone, mean IPv4 and IPv6. " +
          'Plain HTTP is off with "", and if only `https_addr` is set.',
      ),
    https_addr: addresses({ restart: true })
      .as("listenTls")
      .default([])
      .describe("Addresses to listen on for HTTPS; needs `tls_cert_path` and `tls_key_path`."),
    tls_cert_path: text()
      .withoutOutput()
      .default("")
      .describe("File with the certificate and its chain, in PEM. A reload reads the file again."),
    tls_key_path: text()
      .withoutOutput()
      .default("")
      .describe("File with the key of the certificate, in PEM. A reload reads the file again."),
    read_timeout: duration(moment).default("5s").describe("Maximum time for a whole request to arrive."),
    write_timeout: duration(moment)
      .default("5s")
      .describe("Maximum time for a client to receive a response."),
    idle_timeout: duration(moment)
      .default("30s")
      .describe("Maximum time that an open connection waits for its next request."),
    enable_keepalive: boolean()
      .as("keepAlive")
      .default(true)
      .describe("Whether connections stay open for further requests, as proxies and many clients ask for."),
    enable_request_timing: commonOptions.enable_request_timing,
    announce_routes: list()
      .default(["/announce"])
      .describe(
        "Paths of announces. `/:name/announce` passes a part of the path to hooks as a parameter; `/x/*name` passes the " +
          "rest of the path.",
      ),
    scrape_routes: list().default(["/scrape"]).describe("Paths of scrapes."),
    allow_ip_spoofing: boolean()
      .default(false)
      .describe(
        "Whether to believe `ip`, `ipv4` and `ipv6` of an announce. If true, any client can announce any address. `ip`, or " +
          "else the parameter of the client's family, replaces the client's address. The parameter of the other family is " +
          "announced too.",
      ),
    ip_spoofing_from: commonOptions.ip_spoofing_from,
    real_ip_header: text({ check: headerName })
      .map((header) => header.toLowerCase())
      .default("")
      .describe(
        "Header in which a reverse proxy names the client, such as `x-forwarded-for`. The tracker believes this header only " +
          "from `trusted_proxies`.",
      ),
    trusted_proxies: networks()
      .default([])
      .describe(
        "Addresses and networks of your reverse proxies: `127.0.0.1`, `10.0.0.0/8`. Only they can name a client.",
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
      .describe("Maximum number of infohashes in a response to a scrape; the response omits further ones."),
    max_connections: integer(1, 1_000_000)
      .default(16_384)
      .describe(
        "Maximum number of open connections; needs as many file descriptors. At the limit, the tracker closes the " +
          "connection that has waited longest for its client. An address may have a quarter of all connections, unless it is " +
          "in `trusted_proxies`.",
      ),
    max_header_bytes: integer(512, 65_536)
      .default(16_384)
      .describe("Maximum length of request line and headers together, in bytes."),
    opentracker: opentrackerOptions
      .optional()
      .describe(
        "Statistics, full scrapes and more for users of opentracker and bittorrent-tracker, on the addresses of announces. " +
          "Without the block they are off.",
      ),
  }),
  listens: [
    { key: "addr", option: "listen", transport: "tcp" },
    { key: "https_addr", option: "listenTls", transport: "tcp" },
  ],
  requests: httpRequests,
  // Listeners stay open until a restart, so they keep their certificate even if the new options name none.
  keepsUnset: ["tls"],
  check: checkHttp,
  create: async (options, deps) => {
    const { network, logger, routes } = deps;
    const { HttpFrontend } = await import("./http-frontend.ts");
    const hasRoutes = routes.length > 0 || options.opentracker !== undefined;
    const { createRoutesOf } = hasRoutes ? await import("./routes-of.ts") : {};
    const createRoutes = await createRoutesOf?.(options, deps);
    const { listenStream: listen } = network;
    return new HttpFrontend(options, { ...deps, createRoutes, listen, onMissing: warnOfMissing(logger) });
  },
});

/** The default options, without `listen`. */
export const httpDefaults: Omit<HttpOptions, "listen"> = defaultsOf(http);
