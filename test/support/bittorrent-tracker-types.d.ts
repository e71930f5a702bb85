/** The part of bittorrent-tracker that the tests and benchmarks use; it has no types of its own. */
declare module "bittorrent-tracker" {
  import type { EventEmitter } from "node:events";
  import type { Server as HttpServer } from "node:http";

  export class Server extends EventEmitter {
    readonly http: HttpServer | null;
    readonly ws: { readonly clients: ReadonlySet<unknown> } | null;
    readonly torrents: Readonly<Record<string, unknown>>;
    constructor(options: { http?: boolean; udp?: boolean; ws?: boolean; stats?: boolean; interval?: number });
    listen(port: number, host: string, listening?: () => void): void;
    close(closed?: () => void): void;
  }
}
