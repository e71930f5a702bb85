import { homedir } from "node:os";
import { join } from "node:path";
import { canRun, startProcess } from "../process.ts";
import { loopback, type TorrentClient } from "./client.ts";

/** Where `.ci/run` installs it. */
const program = join(process.env.CHIHAYA_GO_BIN ?? join(homedir(), ".cache/chihaya-go"), "torrent");

/** anacrolix/torrent, a library in Go, as its own command. It announces over UDP with `num_want` 0. */
export const anacrolix: TorrentClient = {
  name: "anacrolix",
  package: `CGO_ENABLED=0 GOBIN=${join(program, "..")} go install github.com/anacrolix/torrent/cmd/torrent@v1.61.0`,
  isInstalled: () => canRun(program, ["version"]),
  leavesSilently: { http: true, udp: true }, // it ends without waiting for its last announce
  async start(task) {
    const host = task.family === 6 ? `[${loopback(6)}]` : loopback(4);
    const args = [
      "download",
      `--addr=${host}:${task.port}`,
      task.family === 6 ? "--no-ipv4" : "--no-ipv6",
      "--seed",
      "--no-dht",
      "--no-pex",
      "--no-utp-peers",
      "--no-webtorrent",
      "--no-port-forward",
      "--no-progress",
      ...(task.role === "seed" ? ["--verify"] : []),
      task.torrent,
    ];
    // it reads and writes its files where it is started
    return startProcess(`anacrolix (${task.role})`, program, args, { cwd: task.directory });
  },
};
