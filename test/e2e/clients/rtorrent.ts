import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { canRun, startProcess } from "../process.ts";
import { loopback, type TorrentClient } from "./client.ts";

/** rTorrent, which has a BitTorrent library of its own. Version 0.9.8 knows no trackers over IPv6. */
export const rtorrent: TorrentClient = {
  name: "rtorrent",
  package: "rtorrent",
  isInstalled: () => canRun("rtorrent", ["-h"]),
  async start(task) {
    const settings = join(task.state, "rtorrent.rc");
    const lines = [
      "system.daemon.set = true", // it does without a terminal
      `session.path.set = ${task.state}`,
      `directory.default.set = ${task.directory}`,
      `network.bind_address.set = ${loopback(task.family)}`,
      `network.port_range.set = ${task.port}-${task.port}`,
      "network.port_random.set = no",
      "dht.mode.set = disable",
      "protocol.pex.set = no",
      "trackers.use_udp.set = yes",
      "pieces.hash.on_completion.set = no", // with it, the completion waits for the next announce, ten minutes later
    ];
    await writeFile(settings, `${lines.join("\n")}\n`);
    const args = ["-n", "-o", `import=${settings}`, task.torrent];
    return startProcess(`rtorrent (${task.role})`, "rtorrent", args, { env: { HOME: task.state } });
  },
};
