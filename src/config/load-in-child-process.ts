import { type ChildProcess, fork, type StdioOptions } from "node:child_process";
import { once } from "node:events";
import { extname } from "node:path";
import type { Diagnostic } from "./diagnostics.ts";
import type { LoadOptions, LoadResult } from "./load.ts";
import { expandPath } from "./source.ts";

/** Loading a configuration and its modules takes less than a second; a module may fetch something during its import. */
const longestMs = 30_000;
/** A child process can read this file too, since it inherits the standard input. */
const standardInput = "/dev/stdin";
/** Exit code of Node.js if the top-level `await` of a module can never finish. */
const unsettledAwait = 13;

interface ChildOptions {
  deadlineMs: number;
  /** Whether the output of the modules goes to standard error. */
  showsOutput: boolean;
}

/**
 * Loads a configuration as `loadConfigAndModules` does, in a child process. The memory of the libraries for YAML and
 * schemas (12 MB and more) is freed when the child exits. Clients are served meanwhile. A module that ends its process or
 * loops for ever becomes an error of the configuration. Loads in this process if no child can be started, or if only this
 * process can read the file (`/dev/fd/63`).
 */
export async function loadConfigInChildProcess(
  options: LoadOptions,
  { deadlineMs = longestMs, showsOutput = false }: Partial<ChildOptions> = {},
): Promise<LoadResult> {
  const file = options.file === undefined ? "" : expandPath(options.file, options.env);
  const isOurs = /^\/(dev|proc)\//.test(file) && file !== standardInput;
  const stdin = file === standardInput ? "inherit" : "ignore";
  const output = showsOutput ? 2 : "ignore";
  const stdio: StdioOptions = [stdin, output, output, "ipc"];
  const child = isOurs ? undefined : await startProcess(options, stdio).catch(() => undefined);
  if (child === undefined) {
    const { loadConfigAndModules } = await import("./load.ts");
    return loadConfigAndModules(options);
  }
  // A module may loop for ever: the child would not notice that this process has ended.
  const end = () => child.kill("SIGKILL");
  process.once("exit", end);
  try {
    return await resultOf(child, options, { deadlineMs, showsOutput }, file);
  } finally {
    process.off("exit", end);
  }
}

async function resultOf(
  child: ChildProcess,
  options: LoadOptions,
  { deadlineMs, showsOutput }: ChildOptions,
  file: string,
): Promise<LoadResult> {
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    child.kill("SIGKILL");
  }, deadlineMs);
  // The message of the child may arrive after its exit, but not after the end of the channel.
  const ended = Promise.all([once(child, "exit"), once(child, "disconnect")]);
  const message = await Promise.race([once(child, "message"), ended.then(() => undefined)]);
  clearTimeout(timer);
  if (message !== undefined) return message[0] as LoadResult;
  // A signal to all processes of the service asks the tracker to reload, so the configuration is not at fault.
  if (child.signalCode === "SIGHUP" || child.signalCode === "SIGUSR1")
    return loadConfigInChildProcess(options, { deadlineMs, showsOutput });
  const how = child.signalCode ?? `exit code ${child.exitCode}`;
  const what = isLate
    ? `not loaded within ${deadlineMs / 1000} s; the import of a module (of a hook, a store or a frontend) must not take that long`
    : child.exitCode === unsettledAwait
      ? "the import of a module never finishes: its top-level await waits for ever"
      : `the process that loaded it ended early (${how}); a module must not end the process during its import, but may throw`;
  const text = showsOutput ? what : `${what}; "chihaya check-config" shows the output of the module`;
  return { ok: false, errors: [wholeFile(file || "built-in defaults", text)], warnings: [] };
}

function wholeFile(source: string, message: string): Diagnostic {
  return {
    severity: "error",
    source,
    line: undefined,
    column: undefined,
    path: "",
    message,
    excerpt: undefined,
  };
}

/** @throws Error (the promise rejects) if no process can be started */
async function startProcess({ file, set, env }: LoadOptions, stdio: StdioOptions): Promise<ChildProcess> {
  // The extension is the one that is running: .ts or .js.
  const url = new URL(`./load-process${extname(import.meta.url)}`, import.meta.url);
  const child = fork(url, [JSON.stringify({ file, set })], {
    env,
    execArgv: process.execArgv.filter((argument) => !argument.startsWith("--inspect")),
    serialization: "advanced", // JSON has no undefined
    stdio,
  });
  await once(child, "spawn");
  return child;
}
