import { join } from "node:path";
import { canRun, startProcess } from "../process.ts";
import { loopback, type TorrentClient } from "./client.ts";

/** The system's Python: the binding is installed for it, maybe not for another one in front of it. */
const python = "/usr/bin/python3";
const script = join(import.meta.dirname, "libtorrent-process.py");

/** libtorrent (Rasterbar), which is qBittorrent's and Deluge's, through its Python binding. */
export const libtorrent: TorrentClient = {
  name: "libtorrent",
  package: "python3-libtorrent",
  isInstalled: () => canRun(python, ["-c", "import libtorrent"]),
  async start(task) {
    const args = [script, task.torrent, task.directory, loopback(task.family), String(task.port)];
    return startProcess(`libtorrent (${task.role})`, python, args);
  },
};
