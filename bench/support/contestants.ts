import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { announce } from "../../src/client/tracker-client.ts";
import { Population, type PopulationShape } from "../../src/load/population.ts";
import { findFreePort } from "../../test/e2e/ports.ts";
import { Server, type ServerPorts } from "./server.ts";

const bench = join(import.meta.dirname, "..");

/** Number of peers that each announce asks for. */
export const numWant = 30;

/** Protocols of a contestant. */
export type Workload = "udp" | "http-keep-alive" | "http-close";

export interface Contestant {
  name: string;
  workloads: readonly Workload[];
  /** Why the contestant cannot run here. */
  missing?: string;
  /** Whether the contestant stores peers; the floors do not. */
  isTracker: boolean;
  /** Maximum number of peers. Larger populations omit the contestant, because announcing them takes too long. */
  mostPeers?: number;
  /** @param directory  directory for the files of the server */
  start(directory: string, shape: PopulationShape): Promise<Server>;
}

export interface OwnOptions {
  network: "linux" | "portable";
  workers: number;
  /** Further lines of the configuration below `chihaya:`, indented by two spaces. */
  settings?: string;
  /** Further lines of the block `http`, indented by four spaces. */
  http?: string;
  storage?: string;
  /** Whether the tracker has a whitelist, which contains all torrents. */
  whitelist?: boolean;
  /** Path of the program from the root of the project. */
  main?: string;
}

/** This tracker, run from a configuration file as in production. */
export function chihaya(options: OwnOptions): Contestant {
  const { network, workers, settings = "", http = "", storage = "", whitelist = false } = options;
  const main = resolve(bench, "..", options.main ?? "src/cli/main.ts");
  const threads = workers === 1 ? "1 worker" : `${workers} workers`;
  const name = `chihaya, ${network}, ${threads}${whitelist ? ", whitelist" : ""}`;
  return {
    name,
    workloads: ["udp", "http-keep-alive", "http-close"],
    isTracker: true,
    async start(directory, shape) {
      const ports = await findPorts();
      const file = join(directory, `chihaya-${ports.udp}.yaml`);
      const list = join(directory, `torrents-${ports.udp}.txt`);
      if (whitelist) writeFileSync(list, infoHashes(shape));
      const hook = `{ name: torrent approval, options: { whitelist_from: [${JSON.stringify(list)}] } }`;
      writeFileSync(
        file,
        `chihaya:
  network: ${network}
  workers: ${workers}
  metrics_addr: "127.0.0.1:${ports.metrics}"
${settings}
${whitelist ? `  prehooks: [${hook}]` : ""}
  http:
    addr: "127.0.0.1:${ports.http}"
${http}
  udp:
    addr: "127.0.0.1:${ports.udp}"
  storage:
    name: memory
    config:
      max_peers: 32000000
${storage}
`,
      );
      const command = [process.execPath, main, "--config", file];
      return new Server(command, ports, directory, workers).ready(() => answers(ports, shape));
    },
  };
}

/** Debian's package of opentracker, which is built to serve only the torrents of a whitelist. */
export const opentracker: Contestant = {
  name: "opentracker",
  workloads: ["udp", "http-close"],
  isTracker: true,
  ...missingUnless(["/usr/bin/opentracker", "/usr/sbin/opentracker"].some(existsSync), "is not installed"),
  async start(directory, shape) {
    const ports = await findPorts();
    const whitelist = `whitelist-${ports.udp}`;
    writeFileSync(join(directory, whitelist), infoHashes(shape));
    chmodSync(directory, 0o755); // opentracker changes to the user nobody
    const address = ["-i", "127.0.0.1", "-p", `${ports.udp}`, "-P", `${ports.udp}`];
    const command = ["opentracker", ...address, "-d", directory, "-u", "nobody", "-w", whitelist];
    const server = new Server(command, { ...ports, http: ports.udp }, directory, 1);
    return server.ready(() => answers(ports, shape));
  },
};

/** The JavaScript tracker that most programs on Node.js use. */
export const bittorrentTracker: Contestant = {
  name: "bittorrent-tracker",
  workloads: ["udp", "http-keep-alive", "http-close"],
  isTracker: true,
  mostPeers: 1_000_000,
  async start(directory) {
    const ports = await findPorts();
    const command = join(dirname(fileURLToPath(import.meta.resolve("bittorrent-tracker"))), "bin/cmd.js");
    const hosts = ["--http-hostname", "127.0.0.1", "--udp-hostname", "127.0.0.1"];
    const args = ["--udp", "--http", "--silent", "--port", `${ports.udp}`, ...hosts];
    const server = new Server(
      [process.execPath, command, ...args],
      { ...ports, http: ports.udp },
      directory,
      1,
    );
    return server.ready(() => answers(ports));
  },
};

/** The minimum cost of responses of these sizes over UDP. */
export const udpFloor: Contestant = {
  name: "floor: C, batched echo",
  workloads: ["udp"],
  isTracker: false,
  ...missingUnless(hasCompiler(), "needs gcc"),
  async start(directory) {
    const program = join(directory, "udp-echo");
    execFileSync("gcc", ["-O2", "-o", program, join(bench, "floor/udp-echo.c")]);
    const ports = await findPorts();
    return new Server([program, `${ports.udp}`, `${numWant}`], ports, directory, 1).ready(async () => true);
  },
};

/** The cost of Node's own HTTP server with a constant response. */
export const httpFloor: Contestant = {
  name: "floor: node:http, constant",
  workloads: ["http-keep-alive", "http-close"],
  isTracker: false,
  async start(directory) {
    const ports = await findPorts();
    const command = [process.execPath, join(bench, "floor/http-constant.ts"), `${ports.http}`];
    const isReady = async () => (await fetch(`http://127.0.0.1:${ports.http}/`)).ok;
    return new Server(command, ports, directory, 1).ready(isReady);
  },
};

async function findPorts(): Promise<ServerPorts> {
  return { udp: await findFreePort(), http: await findFreePort(), metrics: await findFreePort() };
}

/** Announces over UDP for a torrent of the population, to check whether the tracker responds. */
async function answers(
  ports: ServerPorts,
  shape: PopulationShape = { torrents: 1, peers: 1 },
): Promise<boolean> {
  const infoHash = new Uint8Array(20);
  new Population(shape).writeInfoHash(0, new DataView(infoHash.buffer), 0);
  const peer = { infoHash, peerId: new Uint8Array(20), port: 1, left: 1n, event: 3 } as const;
  await announce(`udp://127.0.0.1:${ports.udp}`, peer, { timeoutMs: 1000 });
  return true;
}

function infoHashes(shape: PopulationShape): string {
  const population = new Population(shape);
  const bytes = Buffer.alloc(20);
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  let lines = "";
  for (let torrent = 0; torrent < shape.torrents; torrent++) {
    population.writeInfoHash(torrent, view, 0);
    lines += `${bytes.toString("hex")}\n`;
  }
  return lines;
}

function missingUnless(condition: boolean, reason: string): { missing?: string } {
  return condition ? {} : { missing: reason };
}

function hasCompiler(): boolean {
  try {
    execFileSync("gcc", ["--version"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}
