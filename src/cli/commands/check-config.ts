import { parseArgs } from "node:util";
import type { Config } from "../../config/config.ts";
import { type Diagnostic, formatDiagnostics } from "../../config/diagnostics.ts";
import type { LoadOptions } from "../../config/load.ts";
import { loadConfigInChildProcess } from "../../config/load-in-child-process.ts";
import { findConfigFile } from "../../config/source.ts";
import type { Plain } from "../../config/tree.ts";
import { TimeoutError, withTimeout } from "../../lib/with-timeout.ts";
import { ExitCode } from "../command.ts";
import { complain, print } from "../terminal.ts";

export const help = `Lists all errors and warnings of a configuration, without starting the tracker.

Usage: chihaya check-config [FILE] [OPTIONS]

  FILE             configuration file (default: the file that the tracker would read, see chihaya serve --help)
  --config FILE    the same
  --set PATH=VALUE overrides one setting, such as --set http.addr=127.0.0.1:7000; repeatable
  --connect        also tries what the configuration names: Redis, the URLs of lists and keys, files; prints each
  --json           writes one JSON object: {"ok", "file", "errors", "warnings"}, and "connections" with --connect

The command applies the environment as the tracker does. It also checks the files that the configuration names:
certificate, key, secrets, keys of tokens, databases, lists.

Exit codes: 0 the configuration is valid (there may be warnings), 1 something of --connect cannot be used, 2 wrong usage,
78 the configuration is invalid (and nothing is tried).
`;

export async function run(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      config: { type: "string" },
      set: { type: "string", multiple: true },
      connect: { type: "boolean", default: false },
      json: { type: "boolean", default: false },
    },
  });
  if (positionals.length + (values.config === undefined ? 0 : 1) > 1) {
    complain("chihaya: check-config takes one file\n");
    return ExitCode.usage;
  }
  const file = findConfigFile(positionals[0] ?? values.config, process.env);
  const { output, code } = await check(
    { file, env: process.env, set: values.set },
    values.json,
    values.connect,
  );
  print(output);
  // A module may have started a timer or a connection that keeps the process alive.
  if (values.connect) setTimeout(() => process.exit(), lingerMs).unref();
  return code;
}

/** Time for the process to end by itself, in milliseconds. */
const lingerMs = 1000;

/** The result of one probe of `--connect`. */
interface Connection {
  /** The part of the configuration: `storage`, `prehooks[0]`. */
  readonly path: string;
  readonly name: string;
  readonly ok: boolean;
  /** What was found, or why it cannot be used. */
  readonly detail: string;
}

/** Time limit of a probe, in milliseconds. */
const probeMs = 15_000;

/** Tries all that a configuration names, at the same time. */
async function tryConnections(config: Config, document: Plain): Promise<Connection[]> {
  const { probesOf } = await import("../../config/probes.ts");
  return Promise.all(
    (await probesOf(config, document)).map(async ({ path, name, run }) => {
      try {
        return {
          path,
          name,
          ok: true,
          detail: await withTimeout(probeMs, run(AbortSignal.timeout(probeMs))),
        };
      } catch (error) {
        return { path, name, ok: false, detail: explain(error) };
      }
    }),
  );
}

/** Returns the message of an error and its cause, because fetch itself only says "fetch failed". */
function explain(error: unknown): string {
  if (error instanceof TimeoutError || (error as Error).name === "TimeoutError")
    return `no response within ${probeMs / 1000} s`;
  const { message, cause } = error as Error;
  return cause instanceof Error && message === "fetch failed" ? cause.message : message;
}

function describeConnections(connections: readonly Connection[]): string {
  if (connections.length === 0) return "nothing to connect to\n";
  return connections
    .map(({ path, name, ok, detail }) => `${ok ? "ok    " : "failed"}  ${path}: ${name}: ${detail}\n`)
    .join("");
}

/** Checks a configuration. @returns the output and the exit code of the command */
export async function check(
  options: LoadOptions,
  json: boolean,
  connects = false,
): Promise<{ output: string; code: number }> {
  const result = await loadConfigInChildProcess(options, { showsOutput: true });
  const { ok, warnings } = result;
  const errors = ok ? [] : result.errors;
  const file = options.file ?? "built-in defaults";
  const connections =
    result.ok && connects ? await tryConnections(result.config, result.document) : undefined;
  const isConnected = connections?.every((connection) => connection.ok) ?? true;
  const code = !ok ? ExitCode.config : isConnected ? ExitCode.ok : ExitCode.failed;
  if (json)
    return {
      output: `${JSON.stringify({ ok, file, errors, warnings, ...(connections && { connections }) })}\n`,
      code,
    };
  const counted = [count(errors, "error"), count(warnings, "warning")]
    .filter((text) => text !== "")
    .join(", ");
  const summary = `${file}: ${ok ? "ok" : "cannot be used"}${counted && ` (${counted})`}\n`;
  const tried = connections === undefined ? "" : describeConnections(connections);
  return { output: formatDiagnostics(inOrder([...errors, ...warnings])) + summary + tried, code };
}

function inOrder(diagnostics: Diagnostic[]): Diagnostic[] {
  return diagnostics.sort((a, b) => (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0));
}

function count(list: readonly unknown[], noun: string): string {
  return list.length === 0 ? "" : `${list.length} ${noun}${list.length === 1 ? "" : "s"}`;
}
