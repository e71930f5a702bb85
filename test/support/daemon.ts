import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { TestContext } from "node:test";
import { startTestStorage } from "./test-storage.ts";

/** The command line of this project. */
export const main: string = join(import.meta.dirname, "../../src/cli/main.ts");

/** A line of the log in the format of `--json`. */
export interface LogLine {
  level: string;
  msg: string;
  url?: string;
  at?: string;
  path?: string;
  signal?: string;
  needsRestart?: string[];
}

/** Environment of programs under test. It passes on the choice of the network and of the workers for a whole run. */
function inherited(): Record<string, string> {
  const names = ["PATH", "HOME", "CHIHAYA_NETWORK", "CHIHAYA_WORKERS"];
  return Object.fromEntries(names.flatMap((name) => (process.env[name] ? [[name, process.env[name]]] : [])));
}

/** A program under test, its output and its end. */
export class Program {
  readonly child: ChildProcess;
  /** Resolves when the program has ended and all its output has arrived. */
  readonly ended: Promise<{ code: number | null; signal: string | null }>;
  readonly lines: LogLine[] = [];
  stdout = "";
  stderr = "";
  #wake: (() => void)[] = [];
  #isOver = false;

  /** Starts the program, which is killed at the end of the test. */
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

  /** Waits for a line of the log after the first `from` lines. Rejects if the program ends without such a line. */
  async until(isIt: (line: LogLine) => boolean, from = 0): Promise<LogLine> {
    for (;;) {
      const line = this.lines.slice(from).find(isIt);
      if (line) return line;
      if (this.#isOver) throw new Error(`the program ended without the expected line:\n${this.stderr}`);
      await new Promise<void>((resolve) => this.#wake.push(resolve));
    }
  }

  #notify(): void {
    for (const wake of this.#wake.splice(0)) wake();
  }
}

/** Makes a directory that is removed after the other hooks of the test, because the removal fails while a program writes there. */
export function temporaryDirectory(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), "chihaya-"));
  t.after(() => t.after(() => rmSync(directory, { recursive: true, force: true })));
  return directory;
}

/** Settings of a tracker on loopback, on ports that the system chooses. */
export interface DaemonSettings {
  [key: string]: unknown;
  http?: Record<string, unknown>;
  udp?: Record<string, unknown>;
}

/** A tracker that runs like in production: from a configuration file, with a log in JSON. */
export class Daemon extends Program {
  readonly file: string;
  /** Settings that are added to all settings. */
  readonly #given: DaemonSettings;

  private constructor(t: TestContext, file: string, flags: readonly string[], given: DaemonSettings) {
    super(t, process.execPath, [main, "--json", "--config", file, ...flags]);
    this.file = file;
    this.#given = given;
  }

  /** Starts a tracker and waits until it serves. It uses the store of {@link startTestStorage} unless the settings name a store. */
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

  /** Returns the URL of the first listener for a scheme, or of the listener for operators. */
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

  /** Sends a signal and waits for a line with a message. */
  signal(signal: NodeJS.Signals, msg: string): Promise<LogLine> {
    const from = this.lines.length;
    this.child.kill(signal);
    return this.until((line) => line.msg === msg, from);
  }

  /** Writes other settings, or any text, to the file. */
  write(settings: DaemonSettings | string): void {
    const text = typeof settings === "string" ? settings : toYaml({ ...this.#given, ...settings });
    writeFileSync(this.file, text);
  }

  /** Writes other settings, or any text, to the file and reloads it. @returns the line with the result of the reload */
  reload(settings: DaemonSettings | string, signal: NodeJS.Signals = "SIGHUP"): Promise<LogLine> {
    this.write(settings);
    const from = this.lines.length;
    this.child.kill(signal);
    return this.until(({ msg }) => msg.startsWith("configuration "), from);
  }
}

/** Default limit of Linux for receive buffers, so that the tracker logs nothing about a smaller buffer. */
const rmemMax = 212_992;

/** Low enough for any limit of open files, so that the tracker logs nothing about the limit. */
const maxConnections = 100;

/** Renders a configuration file with all listeners on loopback, as JSON, which is also YAML. */
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
