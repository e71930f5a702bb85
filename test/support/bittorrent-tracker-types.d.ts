/** The part of bittorrent-tracker that the tests and benchmarks use; it has no types of its own. */
declare module "bittorrent-tracker" {
  import type { EventEmitter } from "node:events";
  import type { Server as HttpServer } from "node:http";

  /** What an announce says, beside the torrent and the peer. */
  export interface AnnounceOptions {
    left?: number;
    uploaded?: number;
    downloaded?: number;
    numwant?: number;
  }

  export interface ClientOptions {
    infoHash: Uint8Array | string;
    peerId: Uint8Array | string;
    announce: string | readonly string[];
    port: number;
    getAnnounceOpts?: () => AnnounceOptions;
  }

  /** The counts of a torrent; `infoHash` is in hexadecimal digits. */
  export interface Counts {
    announce: string;
    infoHash: string;
    complete: number;
    incomplete: number;
    downloaded: number;
  }

  /** A connection to another peer; `id` is in hexadecimal digits. */
  export interface WebPeer extends EventEmitter {
    readonly id: string;
    destroy(): void;
  }

  export class Client extends EventEmitter<{
    update: [Counts];
    scrape: [Counts];
    peer: [WebPeer];
    warning: [Error];
    error: [Error];
  }> {
    static scrape(
      options: { announce: string; infoHash: string | readonly string[] },
      done: (error: Error | null, result: Counts & Readonly<Record<string, Counts>>) => void,
    ): void;
    constructor(options: ClientOptions);
    start(options?: AnnounceOptions): void;
    stop(options?: AnnounceOptions): void;
    complete(options?: AnnounceOptions): void;
    update(options?: AnnounceOptions): void;
    scrape(options?: { infoHash: readonly string[] }): void;
    destroy(done?: () => void): void;
  }

  export class Server extends EventEmitter {
    readonly http: HttpServer | null;
    constructor(options: { http?: boolean; udp?: boolean; ws?: boolean; stats?: boolean; interval?: number });
    listen(port: number, host: string, listening?: () => void): void;
    close(closed?: () => void): void;
  }
}
