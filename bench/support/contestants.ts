import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, writeFileSync } from "node:fs";
import { delimiter, dirname, join, resolve } from "node:path";
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
  /** Lines of the block `storage` before its options; default the memory store. */
  store?: string;
  /** Whether the tracker has a whitelist, which contains all torrents. */
  whitelist?: boolean;
  /** Path of the program from the root of the project. */
  main?: string;
}

const memoryStore = "    name: memory\n    config:";

/** This tracker, run from a configuration file as in production. */
export function chihaya(options: OwnOptions): Contestant {
  const {
    network,
    workers,
    settings = "",
    http = "",
    storage = "",
    store = memoryStore,
    whitelist = false,
  } = options;
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
${store}
      max_peers: 32000000
${storage}
`,
      );
      const command = [process.execPath, main, "--config", file];
      return new Server(command, ports, directory, workers).ready(() => answers(ports, shape));
    },
  };
}

/** Creates a contestant from a program that is not part of this project. */
type ForeignContestant = (name: string, program: string) => Contestant;

/** opentracker as Debian builds it, which serves only the torrents of its whitelist. */
const opentracker: ForeignContestant = (name, program) => ({
  name,
  workloads: ["udp", "http-close"],
  isTracker: true,
  async start(directory, shape) {
    const ports = await findPorts();
    const whitelist = `whitelist-${ports.udp}`;
    writeFileSync(join(directory, whitelist), infoHashes(shape));
    chmodSync(directory, 0o755); // opentracker becomes nobody
    const address = ["-i", "127.0.0.1", "-p", `${ports.udp}`, "-P", `${ports.udp}`];
    const command = [program, ...address, "-d", directory, "-u", "nobody", "-w", whitelist];
    const server = new Server(command, { ...ports, http: ports.udp }, directory, 1);
    return server.ready(() => answers(ports, shape));
  },
});

/** aquatic over UDP, with its own default configuration except for the address. */
const aquatic: ForeignContestant = (name, program) => ({
  name,
  workloads: ["udp"],
  isTracker: true,
  async start(directory, shape) {
    const ports = await findPorts();
    const file = join(directory, `aquatic-${ports.udp}.toml`);
    const defaults = execFileSync(program, ["-p"], { encoding: "utf8" });
    const config = defaults
      .replace(/^(address(?:_ipv4)? = )".*"$/m, `$1"127.0.0.1:${ports.udp}"`)
      .replace(/^use_ipv6 = true$/m, "use_ipv6 = false");
    writeFileSync(file, config);
    return new Server([program, "-c", file], ports, directory, 1).ready(() => answers(ports, shape));
  },
});

/** Chihaya, the tracker in Go, on one processor. */
const chihayaInGo: ForeignContestant = (name, program) => ({
  name,
  workloads: ["udp", "http-keep-alive", "http-close"],
  isTracker: true,
  async start(directory, shape) {
    const ports = await findPorts();
    const file = join(directory, `chihaya-in-go-${ports.udp}.yaml`);
    writeFileSync(
      file,
      `chihaya:
  announce_interval: 30m
  min_announce_interval: 15m
  metrics_addr: "127.0.0.1:${ports.metrics}"
  http:
    addr: "127.0.0.1:${ports.http}"
    read_timeout: 5s
    write_timeout: 5s
    enable_keepalive: true
    idle_timeout: 30s
    announce_routes: ["/announce"]
    max_numwant: 100
    default_numwant: 50
  udp:
    addr: "127.0.0.1:${ports.udp}"
    max_clock_skew: 10s
    private_key: "a key for the benchmark"
    max_numwant: 100
    default_numwant: 50
  storage:
    name: memory
    config:
      gc_interval: 3m
      peer_lifetime: 31m
      shard_count: 1024
      prometheus_reporting_interval: 1s
`,
    );
    return new Server([program, "--config", file], ports, directory, 1).ready(() => answers(ports, shape));
  },
});

/** By the first word of a contestant's name; `program` is what to look for in PATH. */
const foreign: Readonly<Record<string, { create: ForeignContestant; program?: string }>> = {
  opentracker: { create: opentracker, program: "opentracker" },
  aquatic: { create: aquatic, program: "aquatic_udp" },
  "chihaya-go": { create: chihayaInGo },
};

/**
 * Lists the other trackers that can run here: those of `--peer NAME=PROGRAM`, and those in PATH.
 * @param given  such as `aquatic=/opt/aquatic_udp`; the first word of NAME says which tracker it is
 */
export function findForeign(given: readonly string[]): Contestant[] {
  const flags = given.map((text) => {
    const at = text.indexOf("=");
    const [name, program] = [text.slice(0, at), text.slice(at + 1)];
    const known = foreign[name.split(/[ ,]/)[0]!];
    if (at < 1 || known === undefined) {
      throw new Error(`--peer ${text}: expected NAME=PROGRAM, and NAME one of ${Object.keys(foreign)}`);
    }
    return known.create(name, program);
  });
  const found = Object.entries(foreign).flatMap(([name, { create, program }]) => {
    if (program === undefined || flags.some((flag) => flag.name === name)) return [];
    const path = findProgram(program);
    if (path === undefined) console.error(`${name}: not found; --peer ${name}=PROGRAM adds it`);
    return path === undefined ? [] : [create(name, path)];
  });
  return [...found, ...flags];
}

/** Searches PATH, and the directories of programs for the administrator. */
function findProgram(name: string): string | undefined {
  const directories = [...(process.env.PATH ?? "").split(delimiter), "/usr/sbin", "/usr/bin"];
  return directories.map((directory) => join(directory, name)).find(existsSync);
}

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
