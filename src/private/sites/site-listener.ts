import { createHash, timingSafeEqual } from "node:crypto";
import { HttpServer } from "../../http/http-server.ts";
import type { HttpServerOptions } from "../../http/options.ts";
import { type Route, Routes } from "../../http/routes.ts";
import type { ListenAddress } from "../../ip/listen-address.ts";
import type { Clock } from "../../lib/clock.ts";
import { listenStream } from "../../net/portable/stream.ts";
import { listenUnix } from "../../net/unix-socket.ts";
import type { Logger } from "../../observability/logger.ts";

/** Connections close after each response: the sites' programs read to the end of the connection. */
const serverOptions: Omit<HttpServerOptions, "listen" | "listenTls"> = {
  ...{
    readTimeout: 10,
    writeTimeout: 60,
    idleTimeout: 10,
    keepAlive: false,
    realIpHeader: "",
    trustedProxies: [],
  },
  ...{ proxyProtocol: false, maxConnections: 256, maxPerAddress: Number.POSITIVE_INFINITY, evictsBusy: true },
  maxHeaderBytes: 65_536,
};

/** Stands in for the address of a unix socket. */
const noAddress: ListenAddress = { host: "127.0.0.1", port: 0 };

/** The listener for the calls of a site: on an address, or on a unix socket. */
export class SiteListener {
  readonly #listen: ListenAddress | { readonly path: string };
  readonly #server: HttpServer;

  constructor(
    listen: ListenAddress | { readonly path: string },
    routes: readonly Route[],
    { clock, logger }: { clock: Clock; logger: Logger },
  ) {
    this.#listen = listen;
    const warn = (err: Error): void => logger.warn({ err }, "listener of the site's calls");
    this.#server = new HttpServer(
      { ...serverOptions, listen: ["path" in listen ? noAddress : listen], listenTls: [] },
      {
        handler: new Routes(routes, warn),
        clock,
        listen: (options) =>
          "path" in listen ? listenUnix({ ...options, path: listen.path }) : listenStream(options),
        onError: warn,
      },
    );
  }

  /** `http://127.0.0.1:34001`, or `unix:/run/chihaya/site.sock`. */
  get url(): string {
    return "path" in this.#listen ? `unix:${this.#listen.path}` : this.#server.urls()[0]!;
  }

  start(): Promise<void> {
    return this.#server.start();
  }

  stop(): Promise<void> {
    return this.#server.stop(AbortSignal.abort());
  }
}

/** A secret in the path of calls. The time of a comparison says nothing about the secret. */
export class Secret {
  readonly #digest: Uint8Array;

  constructor(secret: string) {
    this.#digest = digest(secret);
  }

  is(text: string): boolean {
    return timingSafeEqual(this.#digest, digest(text));
  }
}

function digest(text: string): Uint8Array {
  return createHash("sha256").update(text, "latin1").digest();
}
