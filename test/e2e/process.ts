import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import type { Socket } from "node:net";
import { clientsRequired } from "../support/clients-required.ts";

/** A program that runs beside the test. */
export interface RunningProcess {
  readonly name: string;
  /** Its process id; 0 if it could not be started. */
  readonly pid: number;
  /** Its exit code or the signal that ended it; undefined while it runs. */
  readonly ended: number | string | undefined;
  /** The last 8,000 characters that it wrote. */
  output(): string;
  /** Interrupts it, and ends it by force where it takes longer than a minute. Does nothing when it has ended. */
  stop(): Promise<void>;
}

/** Processes that are not over: ended by force when this process exits, however it does. */
const running = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});
process.on("SIGTERM", () => process.exit(143)); // a runner that gives up: without it "exit" is not emitted

/**
 * Starts a program with its standard input closed. A program that cannot be started has ended with the reason.
 *
 * A program that nobody stops does not keep this process alive, so that a test that fails in between still ends.
 */
export function startProcess(
  name: string,
  command: string,
  args: readonly string[],
  { env = {}, cwd }: { env?: Readonly<Record<string, string>>; cwd?: string } = {},
): RunningProcess {
  let output = "";
  let ended: number | string | undefined;
  const child = spawn(command, args, {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...env },
    ...(cwd === undefined ? {} : { cwd }),
  });
  running.add(child);
  const exited = new Promise<void>((resolve) => {
    const end = (how: number | string) => {
      ended = how;
      running.delete(child);
      resolve();
    };
    child.on("error", (error) => end(error.message));
    child.on("close", (code, signal) => end(code ?? signal ?? "unknown"));
  });
  const keep = (chunk: Buffer) => {
    output = (output + chunk.toString("latin1")).slice(-8000);
  };
  for (const stream of [child.stdout, child.stderr] as Socket[]) stream.on("data", keep).unref();
  child.unref();
  return {
    name,
    pid: child.pid ?? 0,
    get ended() {
      return ended;
    },
    output: () => output,
    async stop() {
      if (ended !== undefined) return;
      child.ref();
      child.kill("SIGINT"); // at SIGTERM some clients leave without announcing it
      const force = setTimeout(() => child.kill("SIGKILL"), 60_000);
      await exited;
      clearTimeout(force);
    },
  };
}

/** Whether a program is there and ends with 0 when it is run with `args`. */
export async function canRun(command: string, args: readonly string[]): Promise<boolean> {
  const child = spawn(command, args, { stdio: "ignore" });
  try {
    const [code] = await once(child, "close");
    return code === 0;
  } catch {
    return false;
  }
}

/**
 * Returns the reason to skip tests that need a program, or false to run them. If clients are required, the tests run and fail
 * without the program.
 * @param install  the command that installs the program
 */
export async function withoutProgram(
  command: string,
  args: readonly string[],
  install: string,
): Promise<string | false> {
  if (clientsRequired || (await canRun(command, args))) return false;
  return `${command} is not installed (${install})`;
}
