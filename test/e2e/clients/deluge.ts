import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { encodeBencode } from "../../../src/protocol/bencode/encode.ts";
import { findFreePort, isListening } from "../ports.ts";
import { canRun, startProcess } from "../process.ts";
import { waitUntil } from "../wait-until.ts";
import { loopback, type TorrentClient } from "./client.ts";

/**
 * Deluge: its daemon, which gets its torrent through its console. Its engine is libtorrent (Rasterbar), but with one peer
 * for each address: it bans its own address once the tracker has listed it to itself, so it needs one of its own.
 *
 * What its own settings do not reach is in the state of libtorrent that it loads first. Without that state the daemon calls its peers by
 * uTP, which the others do not speak, and only takes calls; it listens on every interface until it has read its settings.
 */
export const deluge: TorrentClient = {
  name: "deluge",
  package: "deluged and deluge-console",
  isInstalled: async () =>
    (await canRun("deluged", ["--version"])) && (await canRun("deluge-console", ["--version"])),
  async start(task) {
    const port = await findFreePort();
    const host = task.family === 6 ? loopback(6) : "127.0.0.2";
    const settings = {
      daemon_port: port,
      listen_interface: host,
      outgoing_interface: host,
      listen_ports: [task.port, task.port],
      random_port: false,
      dht: false,
      lsd: false,
      utpex: false,
      upnp: false,
      natpmp: false,
      download_location: task.directory,
    };
    const head = { file: 1, format: 1 };
    await writeFile(join(task.state, "core.conf"), JSON.stringify(head) + JSON.stringify(settings));
    const engine = {
      listen_interfaces: `${task.family === 6 ? `[${host}]` : host}:${task.port}`,
      enable_dht: 0,
      enable_lsd: 0,
      enable_upnp: 0,
      enable_natpmp: 0,
      enable_incoming_utp: 0,
      enable_outgoing_utp: 0,
      min_reconnect_time: 5,
    };
    await writeFile(join(task.state, "session.state"), encodeBencode({ settings: engine }));
    await writeFile(join(task.state, "auth"), "localclient:password:10\n");
    const env = { HOME: task.state, PYTHON_EGG_CACHE: task.state };
    const own = ["--config", task.state];
    const daemonArgs = [...own, "--do-not-daemonize", "--loglevel=error"];
    const daemon = startProcess(`deluge (${task.role})`, "deluged", daemonArgs, { env });
    const rpc = ["--daemon", "127.0.0.1", "--port", `${port}`];
    const user = ["--username", "localclient", "--password", "password"];
    await waitUntil("deluged listens", () => {
      if (daemon.ended !== undefined)
        throw new Error(`deluged ended with ${daemon.ended}: ${daemon.output()}`);
      return isListening(port);
    });
    const add = `add --path ${task.directory} ${task.torrent}`;
    const console = startProcess("deluge-console", "deluge-console", [...own, ...rpc, ...user, add], { env });
    await waitUntil("deluge-console has ended", () => console.ended !== undefined);
    if (!/Torrent added/.test(console.output())) {
      await daemon.stop();
      throw new Error(`deluge-console ended with ${console.ended}: ${console.output()}`);
    }
    return daemon;
  },
};
