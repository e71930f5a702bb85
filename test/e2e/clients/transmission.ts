import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { canRun, type RunningProcess, startProcess } from "../process.ts";
import type { TorrentClient } from "./client.ts";

/**
 * Transmission, as its one-torrent command. It never dials a loopback address, but takes connections from one: it
 * must be in the swarm before the other peer announces.
 */
export const transmission: TorrentClient = {
  name: "transmission",
  package: "transmission-cli",
  isInstalled: () => canRun("transmission-cli", ["--version"]),
  leavesSilently: { http: true, udp: false }, // it ends before its last announce over HTTP is on its way
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
    const start = () =>
      startProcess(`transmission (${task.role})`, "transmission-cli", args, { env: { HOME: task.state } });
    return task.role === "seed" ? startUntilItStays(start) : start();
  },
};

/** Starts of a program that leaves again. */
const mostStarts = 5;

/**
 * Starts a program, and starts it again when it leaves on its own with 0: transmission-cli takes a torrent that is
 * about to be verified for one that has been stopped, depending on when it looks.
 */
function startUntilItStays(start: () => RunningProcess): RunningProcess {
  let process = start();
  let starts = 1;
  let isStopping = false;
  return {
    name: process.name,
    get pid() {
      return process.pid;
    },
    get ended() {
      if (process.ended === 0 && !isStopping && starts++ < mostStarts) process = start();
      return process.ended;
    },
    output: () => process.output(),
    stop() {
      isStopping = true;
      return process.stop();
    },
  };
}
