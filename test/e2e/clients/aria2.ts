import { join } from "node:path";
import { findFreePort } from "../ports.ts";
import { canRun, startProcess } from "../process.ts";
import { loopback, type TorrentClient } from "./client.ts";

/** aria2; over IPv6 it knows HTTP trackers only. */
export const aria2: TorrentClient = {
  name: "aria2",
  package: "aria2",
  isInstalled: () => canRun("aria2c", ["--version"]),
  async start(task) {
    const args = [
      "--no-conf=true",
      `--dir=${task.directory}`,
      "--file-allocation=none",
      "--enable-dht6=false",
      "--bt-enable-lpd=false",
      "--enable-peer-exchange=false",
      `--listen-port=${task.port}`,
      `--interface=${loopback(task.family)}`,
      `--disable-ipv6=${task.family === 4}`,
      "--summary-interval=0",
      "--console-log-level=notice",
      `--log=${join(task.state, "aria2.log")}`,
      "--log-level=info",
    ];
    if (task.udp) {
      // its UDP trackers share the socket of its DHT, whose only contact is the discard port
      args.push(
        "--enable-dht=true",
        `--dht-listen-port=${await findFreePort()}`,
        "--dht-entry-point=127.0.0.1:9",
      );
      args.push(`--dht-file-path=${join(task.state, "dht.dat")}`);
    } else {
      args.push("--enable-dht=false");
    }
    // it seeds until it is stopped: with --seed-time=0 it would end without announcing its completion
    args.push("--seed-ratio=0.0", `--check-integrity=${task.role === "seed"}`);
    return startProcess(`aria2 (${task.role})`, "aria2c", [...args, task.torrent], {
      env: { HOME: task.state },
    });
  },
};
