import { join } from "node:path";
import { canRun, startProcess } from "../process.ts";
import type { TorrentClient } from "./client.ts";

const script = join(import.meta.dirname, "webtorrent-process.ts");

/** webtorrent over TCP, IPv4 only: its UDP tracker client has no other. */
export const webtorrent: TorrentClient = {
  name: "webtorrent",
  package: "the development dependencies",
  isInstalled: () => canRun(process.execPath, ["--input-type=module", "--eval", 'import "webtorrent"']),
  async start(task) {
    const args = [script, task.torrent, task.directory, String(task.port)];
    return startProcess(`webtorrent (${task.role})`, process.execPath, args);
  },
};
