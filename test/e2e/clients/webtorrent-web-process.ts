/**
 * Seeds or downloads one torrent with webtorrent by WebRTC, and by TCP if there is a port, until it is interrupted. Loads the client first, and then waits
 * for the torrent file, so that a test decides when the client starts.
 *
 * Usage: node webtorrent-web-process.ts TORRENT DIRECTORY [PORT]
 */
import { existsSync } from "node:fs";
import { registerHooks } from "node:module";
import { setTimeout as wait } from "node:timers/promises";

// The package of this name in the project has no WebRTC, so that the other tests use TCP.
registerHooks({
  resolve: (specifier, context, next) =>
    next(specifier === "webrtc-polyfill" ? "webrtc-polyfill-native" : specifier, context),
});
const { default: WebTorrent } = await import("webtorrent");

const [torrentFile, directory, port] = process.argv.slice(2);

/** A connection to a peer. */
interface Wire {
  readonly type: string;
  /** Bytes that the peer has sent. */
  readonly downloaded: number;
}

const client = new WebTorrent({
  dht: false,
  lsd: false,
  tcp: port !== undefined,
  utp: false,
  utPex: false,
  natUpnp: false,
  natPmp: false,
  torrentPort: Number(port ?? 0),
  tracker: { rtcConfig: { iceServers: [] } },
});
client.on("error", (error) => console.log("error", error));
console.log("loaded");
while (!existsSync(torrentFile!)) await wait(20);
const torrent = client.add(torrentFile!, { path: directory! });
torrent.on("warning", (warning) => console.log("warning", String(warning)));
const wires: Wire[] = [];
torrent.on("wire", (wire: Wire) => wires.push(wire));
torrent.on("done", () => {
  for (const { type, downloaded } of wires) console.log(`from ${type} ${downloaded}`);
  console.log("done");
});

process.on("SIGINT", () => process.exit());
