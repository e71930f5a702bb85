import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { canRun, startProcess } from "../process.ts";
import type { TorrentClient } from "./client.ts";

/**
 * Transmission, as its one-torrent command. It never dials a loopback address, but takes connections from one: it
 * must be in the swarm before the other peer announces.
 */
export const transmission: TorrentClient = {
  name: "transmission",
  package: "transmission-cli",
  isInstalled: () => canRun("transmission-cli", ["--version"]),
  async start(task) {
    const settings = {
      "bind-address-ipv4": "127.0.0.1",
      "bind-address-ipv6": "::1",
      "dht-enabled": false,
      "lpd-enabled": false,
      "pex-enabled": false,
      "utp-enabled": false,
      "port-forwarding-enabled": false,
      "rpc-enabled": false,
    };
    await writeFile(join(task.state, "settings.json"), JSON.stringify(settings));
    const args = [
      "--no-portmap",
      ...["--config-dir", task.state],
      ...["--download-dir", task.directory],
      ...["--port", String(task.port)],
      ...(task.role === "seed" ? ["--verify"] : []),
      task.torrent,
    ];
    return startProcess(`transmission (${task.role})`, "transmission-cli", args, { HOME: task.state });
  },
};
