import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { findFreePort } from "../ports.ts";
import { canRun, startProcess } from "../process.ts";
import { loopback, type TorrentClient } from "./client.ts";

/** qBittorrent without a window. Its engine is libtorrent (Rasterbar), with settings of its own. */
export const qbittorrent: TorrentClient = {
  name: "qbittorrent",
  package: "qbittorrent-nox",
  isInstalled: () => canRun("qbittorrent-nox", ["--version"]),
  async start(task) {
    const directory = join(task.state, "qBittorrent/config");
    await mkdir(directory, { recursive: true });
    const lines = [
      "[LegalNotice]",
      "Accepted=true",
      "[Preferences]",
      "WebUI\\Address=127.0.0.1", // it cannot be switched off
      "[Network]",
      "PortForwardingEnabled=false",
      "[BitTorrent]",
      "Session\\BTProtocol=TCP",
      "Session\\DHTEnabled=false",
      "Session\\LSDEnabled=false",
      "Session\\PeXEnabled=false",
      "Session\\Interface=lo",
      `Session\\InterfaceAddress=${loopback(task.family)}`,
      `Session\\Port=${task.port}`,
      "Session\\MultiConnectionsPerIp=true",
      "Session\\QueueingSystemEnabled=false",
      `Session\\DefaultSavePath=${task.directory}`,
    ];
    await writeFile(join(directory, "qBittorrent.conf"), `${lines.join("\n")}\n`);
    const args = [
      `--profile=${task.state}`,
      `--webui-port=${await findFreePort()}`,
      `--save-path=${task.directory}`,
      "--add-paused=false",
      "--skip-dialog=true",
      task.torrent,
    ];
    // the socket by which a second start finds the first is in TMPDIR
    const env = { HOME: task.state, TMPDIR: task.state };
    return startProcess(`qbittorrent (${task.role})`, "qbittorrent-nox", args, { env });
  },
};
