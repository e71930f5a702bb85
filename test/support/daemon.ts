import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { TestContext } from "node:test";
import { startTestStorage } from "./test-storage.ts";

/** The command line of this project. */
export const main: string = join(import.meta.dirname, "../../src/cli/main.ts");

/** A line of the log, as `--json` writes it. */
export interface LogLine {
  level: string;
  msg: string;
  url?: string;
  at?: string;
  path?: string;
  signal?: string;
  needsRestart?: string[];
}

/** What programs under test have of our environment: the engine and the threads can be chosen for a whole run. */
function inherited(): Record<string, string> {
  const names = ["PATH", "HOME", "CHIHAYA_NETWORK", "CHIHAYA_WORKERS"];
  return Object.fromEntries(names.flatMap((name) => (process.env[name] ? [[name, process.env[name]]] : [])));
}

/** A program under test, its output and its end. */
export class Program {
  readonly child: ChildProcess;
  /** Resolves when it has ended and all of its output is there. */
  readonly ended: Promise<{ code: number | null; signal: string | null }>;
  readonly lines: LogLine[] = [];
  stdout = "";
  stderr = "";
  #wake: (() => void)[] = [];
  #isOver = false;

  /** Ends with the test, by force. */
  constructor(t: TestContext, command: string, args: readonly string[], env: Record<string, string> = {}) {
    const child = spawn(command, args, {
      env: { ...inherited(), ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.child = child;
    const exited = new Promise<{ code: number | null; signal: string | null }>((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (code, signal) => resolve({ code, signal }));
    });
    this.ended = exited.finally(() => {
      this.#isOver = true;
      this.#notify();
    });
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      this.stdout += text;
    });
    createInterface(child.stderr).on("line", (line) => {
      this.stderr += `${line}\n`;
      if (line.startsWith("{")) this.lines.push(JSON.parse(line));
      this.#notify();
    });
    t.after(async () => {
      if (this.#isOver) return;
      child.kill("SIGKILL");
      await this.ended;
    });
  }

  /** Waits for a line of the log after the first `from`. Rejects when the program ends without it. */
  async until(isIt: (line: LogLine) => boolean, from = 0): Promise<LogLine> {
    for (;;) {
      const line = this.lines.slice(from).find(isIt);
      if (line) return line;
      if (this.#isOver) throw new Error(`it ended without that line:\n${this.stderr}`);
      await new Promise<void>((resolve) => this.#wake.push(resolve));
    }
  }

  #notify(): void {
    for (const wake of this.#wake.splice(0)) wake();
  }
}

/** Makes a directory that goes with the test. */
export function temporaryDirectory(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), "chihaya-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** Settings of a tracker on loopback, on ports of the system's choice. */
export interface DaemonSettings {
  [key: string]: unknown;
  http?: Record<string, unknown>;
  udp?: Record<string, unknown>;
}

/** A tracker that runs as its users run it, from a configuration file, with a log in JSON. */
export class Daemon extends Program {
  readonly file: string;
  /** What all of its settings have besides. */
  readonly #given: DaemonSettings;

  private constructor(t: TestContext, file: string, flags: readonly string[], given: DaemonSettings) {
    super(t, process.execPath, [main, "--json", "--config", file, ...flags]);
    this.file = file;
    this.#given = given;
  }

  /** Resolves when it serves; over the store of {@link startTestStorage} unless the settings have one. */
  static async start(t: TestContext, settings: DaemonSettings = {}, ...flags: string[]): Promise<Daemon> {
    const file = join(temporaryDirectory(t), "chihaya.yaml");
    const storage = settings.storage === undefined ? await startTestStorage() : undefined;
    if (storage) t.after(() => storage.stop());
    const given = storage?.settings ? { storage: storage.settings } : {};
    writeFileSync(file, toYaml({ ...given, ...settings }));
    const daemon = new Daemon(t, file, flags, given);
    await daemon.until(({ url }) => url?.startsWith("udp:") === true); // the last one
    return daemon;
  }

  /** The URL of its first listener for a scheme, or of the one for operators. */
  url(scheme: "http" | "https" | "udp" | "metrics"): string {
    const msg = scheme === "metrics" ? "serving metrics and health" : "serving";
    const prefix = scheme === "metrics" ? "http:" : `${scheme}:`;
    const line = this.lines.find((line) => line.msg === msg && line.url?.startsWith(prefix));
    if (!line?.url) throw new Error(`no listener for ${scheme}`);
    return line.url;
  }

  port(scheme: "http" | "https" | "udp" | "metrics"): number {
    return Number(new URL(this.url(scheme)).port);
  }

  /** Sends a signal and waits for a line with this message. */
  signal(signal: NodeJS.Signals, msg: string): Promise<LogLine> {
    const from = this.lines.length;
    this.child.kill(signal);
    return this.until((line) => line.msg === msg, from);
  }

  /** Writes other settings, or any text, into the file. */
  write(settings: DaemonSettings | string): void {
    const text = typeof settings === "string" ? settings : toYaml({ ...this.#given, ...settings });
    writeFileSync(this.file, text);
  }

  /** Writes other settings (or any text) into the file and has it read again. @returns the line that says how it went */
  reload(settings: DaemonSettings | string, signal: NodeJS.Signals = "SIGHUP"): Promise<LogLine> {
    this.write(settings);
    const from = this.lines.length;
    this.child.kill(signal);
    return this.until(({ msg }) => msg.startsWith("configuration "), from);
  }
}

/** What Linux grants as a receive buffer unless told otherwise, so that nothing is logged about it. */
const rmemMax = 212_992;

/** Few enough for any limit of open files, so that nothing is logged about that either. */
const maxConnections = 100;

/** A configuration file: all listeners on loopback. JSON is YAML. */
export function toYaml({ http, udp, ...rest }: DaemonSettings): string {
  const addr = "127.0.0.1:0";
  return JSON.stringify({
    chihaya: {
      metrics_addr: addr,
      http: { addr, max_connections: maxConnections, ...http },
      udp: { addr, receive_buffer: rmemMax, ...udp },
      ...rest,
    },
  });
}
