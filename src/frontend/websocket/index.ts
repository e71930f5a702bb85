import { addresses, duration, integer, list, options } from "../../options/index.ts";
import { mostOffers } from "../../protocol/webtorrent/message.ts";
import { commonOptions } from "../common-options.ts";
import { defineFrontend, type FrontendDefinition, warnOfMissing } from "../define-frontend.ts";
import { checkWebSocket } from "./check.ts";
import type { WebSocketOptions } from "./options.ts";
import { checkOrigin } from "./origins.ts";
import { webSocketRequests } from "./requests.ts";

/** Announces and scrapes of browsers over WebSocket, and the offers and answers between them. */
export const websocket: FrontendDefinition<WebSocketOptions, Partial<WebSocketOptions>> = defineFrontend({
  name: "websocket",
  description:
    "The WebSocket frontend, for browsers (WebTorrent). Without a configuration file it is on; with a file only if this block " +
    "is there.",
  byDefault: true,
  options: options({
    addr: addresses({ restart: true })
      .as("listen")
      .default([])
      .describe(
        "Addresses of its own to listen on. An empty list means the addresses of `http`, with `ws://` on those of `addr` and " +
          "`wss://` on those of `https_addr`.",
      ),
    routes: list()
      .default([])
      .describe(
        "Paths of WebSockets. `/:name/announce` passes a part of the path to hooks as a parameter. An empty list means " +
          "`http.announce_routes` and `/`.",
      ),
    allow_origins: list({ check: checkOrigin })
      .default([])
      .describe(
        "Web sites whose pages may connect: `https://example.com`, `example.com` (any scheme and port), `*.example.com` (any " +
          "subdomain). An empty list means all sites. Programs that name no site may always connect.",
      ),
    deny_origins: list({ check: checkOrigin })
      .default([])
      .describe("Web sites whose pages may not connect, also if `allow_origins` has them."),
    interval: duration(1, { whole: true })
      .default("2m")
      .describe(
        "Time between two announces of a client. Each announce lets a client find new peers, so the time is shorter than " +
          "`announce_interval`. Hooks that change the interval apply.",
      ),
    max_offers: integer(1, mostOffers)
      .default(10)
      .describe("Maximum number of offers that the tracker relays from one announce."),
    max_sdp_bytes: integer(1024, 65_536)
      .default(16_384)
      .describe("Maximum length of an offer or answer in bytes; a longer one is not relayed."),
    max_message_bytes: integer(4096, 1_048_576)
      .default(131_072)
      .describe("Maximum length of a message in bytes; a longer one closes the WebSocket."),
    max_scrape_infohashes: integer(1, 1000)
      .as("maxScrapeInfoHashes")
      .default(74)
      .describe("Maximum number of infohashes in a response to a scrape; the response omits further ones."),
    max_connections: integer(1, 1_000_000)
      .default(16_384)
      .describe(
        "Maximum number of open WebSockets of a worker; further ones are refused. An address may have a quarter of them. They " +
          "are not counted in `max_connections` of `http`.",
      ),
    enable_request_timing: commonOptions.enable_request_timing,
  }),
  listens: [{ key: "addr", option: "listen", transport: "tcp", isOptional: true }],
  requests: webSocketRequests,
  check: checkWebSocket,
  create: async (options, { network, logger, ...deps }) => {
    const { WebSocketFrontend } = await import("./websocket-frontend.ts");
    const { listenStream: listen } = network;
    return new WebSocketFrontend(options, { ...deps, logger, listen, onMissing: warnOfMissing(logger) });
  },
});
