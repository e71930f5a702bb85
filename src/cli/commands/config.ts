import { parseArgs } from "node:util";
import { formatDiagnostics } from "../../config/diagnostics.ts";
import { loadConfig } from "../../config/load.ts";
import { renderEffective, renderExample } from "../../config/render.ts";
import { findConfigFile } from "../../config/source.ts";
import { ExitCode } from "../command.ts";
import { complain, print } from "../terminal.ts";

export const help = `Prints the effective or the default configuration as YAML.

Usage: chihaya config [OPTIONS]

  --default        prints the default configuration with a comment on each setting, as a template for your own
  --config FILE    configuration file (default: see chihaya serve --help)
  --set PATH=VALUE overrides one setting, such as --set http.addr=127.0.0.1:7000; repeatable

The effective configuration contains the file, the environment, the flags and the defaults. Older spellings are replaced,
and secrets are masked.

Exit codes: 0 printed, 2 wrong usage, 78 the configuration is invalid.
`;

export async function run(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: {
      default: { type: "boolean", default: false },
      config: { type: "string" },
      set: { type: "string", multiple: true },
    },
  });
  if (values.default) {
    print(renderExample());
    return ExitCode.ok;
  }
  const file = findConfigFile(values.config, process.env);
  const result = loadConfig({ file, env: process.env, set: values.set });
  if (!result.ok) {
    complain(formatDiagnostics(result.errors));
    return ExitCode.config;
  }
  complain(formatDiagnostics(result.warnings));
  print(renderEffective(result.document));
  return ExitCode.ok;
}
