import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { announce } from "../../src/client/tracker-client.ts";
import { Population, type PopulationShape } from "../../src/load/population.ts";
import { findFreePort } from "../../test/e2e/ports.ts";
import { Server, type ServerPorts } from "./server.ts";

const bench = join(import.meta.dirname, "..");

/** Peers in an answer that is wanted. */
export const numWant = 30;

/** What a contestant answers. */
export type Workload = "udp" | "http-keep-alive" | "http-close";

export interface Contestant {
  name: string;
  workloads: readonly Workload[];
  /** Why it cannot run here. */
  missing?: string;
  /** Whether it stores peers: the floors do not. */
  isTracker: boolean;
  /** It is left out where there are more: to announce them takes too long. */
  mostPeers?: number;
  /** @param directory  for its files */
  start(directory: string, shape: PopulationShape): Promise<Server>;
}

export interface OwnOptions {
  network: "linux" | "portable";
  workers: number;
  /** More lines of the configuration, below `chihaya:`, each with two spaces in front. */
  settings?: string;
  /** More settings of the `http` block, each with four spaces in front. */
  http?: string;
  storage?: string;
  /** Whether it answers only for torrents of a list, which has all of them. */
  whitelist?: boolean;
  /** The program, from the root of the project. */
  main?: string;
}

/** This tracker, from a configuration file, as its users run it. */
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

/** Debian's package, which is built to answer only for the torrents of its whitelist. */
export const opentracker: Contestant = {
  name: "opentracker",
  workloads: ["udp", "http-close"],
  isTracker: true,
  ...missingUnless(["/usr/bin/opentracker", "/usr/sbin/opentracker"].some(existsSync), "is not installed"),
  async start(directory, shape) {
    const ports = await findPorts();
    const whitelist = `whitelist-${ports.udp}`;
    writeFileSync(join(directory, whitelist), infoHashes(shape));
    chmodSync(directory, 0o755); // it becomes nobody
    const address = ["-i", "127.0.0.1", "-p", `${ports.udp}`, "-P", `${ports.udp}`];
    const command = ["opentracker", ...address, "-d", directory, "-u", "nobody", "-w", whitelist];
    const server = new Server(command, { ...ports, http: ports.udp }, directory, 1);
    return server.ready(() => answers(ports, shape));
  },
};

/** The tracker in JavaScript that most programs on Node.js use. */
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

/** The least that answers of these sizes cost over UDP. */
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

/** What Node's own HTTP server costs when it does nothing. */
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

/** Whether a tracker answers an announce over UDP, for a torrent of the population. */
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
