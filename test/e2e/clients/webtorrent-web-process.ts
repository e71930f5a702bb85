/**
 * Seeds or downloads one torrent with webtorrent by WebRTC only, until it is interrupted. Loads the client first, and then waits
 * for the torrent file, so that a test decides when the client starts.
 *
 * Usage: node webtorrent-web-process.ts TORRENT DIRECTORY
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

const [torrentFile, directory] = process.argv.slice(2);

const client = new WebTorrent({
  dht: false,
  lsd: false,
  tcp: false,
  utp: false,
  utPex: false,
  natUpnp: false,
  natPmp: false,
  tracker: { rtcConfig: { iceServers: [] } },
});
client.on("error", (error) => console.log("error", error));
console.log("loaded");
while (!existsSync(torrentFile!)) await wait(20);
const torrent = client.add(torrentFile!, { path: directory! });
torrent.on("warning", (warning) => console.log("warning", String(warning)));
torrent.on("wire", () => console.log("wire"));
torrent.on("done", () => console.log("done"));

process.on("SIGINT", () => process.exit());
