import { type ChildProcess, fork, type StdioOptions } from "node:child_process";
import { once } from "node:events";
import { extname } from "node:path";
import type { Diagnostic } from "./diagnostics.ts";
import type { LoadOptions, LoadResult } from "./load.ts";
import { expandPath } from "./source.ts";

/** A configuration and the modules of its hooks are loaded in less than a second; a fetch at their import may take longer. */
const longestMs = 30_000;
/** A file that a child process can read as well, since it has the same standard input. */
const standardInput = "/dev/stdin";
/** Exit code of Node.js where nothing is left that could end an `await` of a module. */
const unsettledAwait = 13;

interface ChildOptions {
  deadlineMs: number;
  /** Whether what the modules write appears on standard error. */
  showsOutput: boolean;
}

/**
 * Loads a configuration as `loadConfigAndModules` does, in a process of its own that ends with it: what the libraries for YAML
 * and schemas take, 12 MB and more, is given back, whoever is served meanwhile does not wait, and a module that ends
 * its process or never comes to an end is a mistake like any other. Where no process can be started, or only this one
 * can read the file (`/dev/fd/63`), this one does it.
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
  // A module may loop for ever: then the child does not notice that this process has ended.
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
  // What it has sent may arrive after its exit, but not after the end of the channel.
  const ended = Promise.all([once(child, "exit"), once(child, "disconnect")]);
  const answer = await Promise.race([once(child, "message"), ended.then(() => undefined)]);
  clearTimeout(timer);
  if (answer !== undefined) return answer[0] as LoadResult;
  // Sent to all processes of the service: the tracker takes it as a wish to reload, and so it is no mistake here.
  if (child.signalCode === "SIGHUP" || child.signalCode === "SIGUSR1")
    return loadConfigInChildProcess(options, { deadlineMs, showsOutput });
  const how = child.signalCode ?? `exit code ${child.exitCode}`;
  const what = isLate
    ? `not loaded within ${deadlineMs / 1000} s; what the module of a hook does when it is imported should not take that long`
    : child.exitCode === unsettledAwait
      ? "the module of a hook waits for something that never comes when it is imported"
      : `the process that loaded it ended early (${how}); the module of a hook should throw, not end the process, when it is imported`;
  const message = showsOutput ? what : `${what}; "chihaya check-config" does the same in sight`;
  return { ok: false, errors: [wholeFile(file || "built-in defaults", message)], warnings: [] };
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

/** Rejects where no process can be started. */
async function startProcess({ file, set, env }: LoadOptions, stdio: StdioOptions): Promise<ChildProcess> {
  // Beside this file, under whichever extension it runs.
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
