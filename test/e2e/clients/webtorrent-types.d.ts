/** The part of webtorrent that the tests use; it has no types of its own. */
declare module "webtorrent" {
  import type { EventEmitter } from "node:events";

  interface Torrent extends EventEmitter {
    /** 0 to 1. */
    readonly progress: number;
  }

  class WebTorrent extends EventEmitter {
    constructor(options: Record<string, unknown>);
    add(torrentFile: string, options: { path: string }): Torrent;
    destroy(done: () => void): void;
  }

  // biome-ignore lint/style/noDefaultExport: webtorrent has no other
  export default WebTorrent;
}
