/**
 * Seeds or downloads one torrent with webtorrent until it is told to end.
 *
 * Usage: node webtorrent-process.ts TORRENT DIRECTORY PORT
 */
import WebTorrent from "webtorrent";

const [torrentFile, directory, port] = process.argv.slice(2);

const client = new WebTorrent({
  dht: false,
  lsd: false,
  utp: false,
  utPex: false,
  natUpnp: false,
  natPmp: false,
  torrentPort: Number(port),
  tracker: { rtcConfig: { iceServers: [] } },
});
client.on("error", (error) => {
  console.error(error);
  process.exitCode = 1;
});
const torrent = client.add(torrentFile!, { path: directory! });
torrent.on("warning", (warning) => console.log("warning", String(warning)));
torrent.on("ready", () => console.log("ready", torrent.progress));
torrent.on("done", () => console.log("done"));

process.on("SIGINT", () => client.destroy(() => process.exit()));
