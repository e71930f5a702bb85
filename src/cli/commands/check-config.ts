import { parseArgs } from "node:util";
import { type Diagnostic, formatDiagnostics } from "../../config/diagnostics.ts";
import type { LoadOptions } from "../../config/load.ts";
import { loadConfigInChildProcess } from "../../config/load-in-child-process.ts";
import { findConfigFile } from "../../config/source.ts";
import { ExitCode } from "../command.ts";
import { complain, print } from "../terminal.ts";

export const help = `Lists all errors and warnings of a configuration, without starting the tracker.

Usage: chihaya check-config [FILE] [OPTIONS]

  FILE             configuration file (default: the file that the tracker would read, see chihaya serve --help)
  --config FILE    the same
  --set PATH=VALUE overrides one setting, such as --set http.addr=127.0.0.1:7000; repeatable
  --json           writes one JSON object: {"ok", "file", "errors", "warnings"}

The command applies the environment as the tracker does. It also checks the files that the configuration names:
certificate, key, secrets, keys of tokens, databases, lists.

Exit codes: 0 the configuration is valid (there may be warnings), 2 wrong usage, 78 the configuration is invalid.
`;

export async function run(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      config: { type: "string" },
      set: { type: "string", multiple: true },
      json: { type: "boolean", default: false },
    },
  });
  if (positionals.length + (values.config === undefined ? 0 : 1) > 1) {
    complain("chihaya: check-config takes one file\n");
    return ExitCode.usage;
  }
  const file = findConfigFile(positionals[0] ?? values.config, process.env);
  const { output, code } = await check({ file, env: process.env, set: values.set }, values.json);
  print(output);
  return code;
}

/** Checks a configuration. @returns the output and the exit code of the command */
export async function check(options: LoadOptions, json: boolean): Promise<{ output: string; code: number }> {
  const result = await loadConfigInChildProcess(options, { showsOutput: true });
  const { ok, warnings } = result;
  const errors = ok ? [] : result.errors;
  const file = options.file ?? "built-in defaults";
  const code = ok ? ExitCode.ok : ExitCode.config;
  if (json) return { output: `${JSON.stringify({ ok, file, errors, warnings })}\n`, code };
  const counted = [count(errors, "error"), count(warnings, "warning")]
    .filter((text) => text !== "")
    .join(", ");
  const summary = `${file}: ${ok ? "ok" : "cannot be used"}${counted && ` (${counted})`}\n`;
  return { output: formatDiagnostics(inOrder([...errors, ...warnings])) + summary, code };
}

function inOrder(diagnostics: Diagnostic[]): Diagnostic[] {
  return diagnostics.sort((a, b) => (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0));
}

function count(list: readonly unknown[], noun: string): string {
  return list.length === 0 ? "" : `${list.length} ${noun}${list.length === 1 ? "" : "s"}`;
}
