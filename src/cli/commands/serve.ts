import { parseArgs } from "node:util";
import { setFlagsFromString } from "node:v8";
import { loadConfigInChildProcess } from "../../config/load-in-child-process.ts";
import { findConfigFile } from "../../config/source.ts";
import { logFormats } from "../../observability/log-target.ts";
import type { DaemonOptions } from "../../process/daemon.ts";
import { ExitCode } from "../command.ts";
import { complain } from "../terminal.ts";

export const help = `Runs the tracker until a signal stops it.

Usage: chihaya [serve] [OPTIONS]

  --config FILE    configuration file (default: the file of the variable CHIHAYA_CONFIG, else /etc/chihaya.yaml
                   if it exists, else the built-in defaults)
  --set PATH=VALUE overrides one setting, such as --set http.addr=127.0.0.1:7000; repeatable
  --debug          also log debug lines
  --log-format FORMAT
                   auto (text for a terminal and for the journal of systemd, else JSON), json (one object a line) or
                   pretty (text); default auto
  --json           the same as --log-format json
  --nocolors       log without colours

Signals: SIGINT and SIGTERM stop the tracker; a second one stops it at once. SIGHUP and SIGUSR1 reload the configuration;
"chihaya reload" does so too, and prints the result.

Exit codes: 0 stopped, 1 failed to start or stopped at once, 2 wrong usage, 78 invalid configuration.
`;

/**
 * Keeps V8's young generation at its initial size in all threads. Otherwise the young generation grows to many times that
 * size with the traffic, and Node's sockets keep further memory until the young generation is full.
 */
const smallYoungGeneration = "--semi-space-growth-factor=1";
/**
 * Lets the compiler inline twice as much into one function. The path of an announce is many small functions, of which a part is
 * beyond the default of 920 bytes of bytecode (random announces into a filled memory store: 890 -> 792 ns).
 */
const moreInlining = "--max-inlined-bytecode-size-cumulative=2000";

export async function run(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: {
      config: { type: "string" },
      set: { type: "string", multiple: true },
      debug: { type: "boolean", default: false },
      json: { type: "boolean", default: false },
      "log-format": { type: "string" },
      nocolors: { type: "boolean", default: false },
    },
  });
  const given = values["log-format"];
  const format = logFormats.find((name) => name === (values.json ? "json" : (given ?? "auto")));
  if (format === undefined || (values.json && given !== undefined && given !== "json")) {
    const problem = values.json ? "excludes --json" : `${given} is not one of ${logFormats.join(", ")}`;
    complain(`chihaya: --log-format: ${problem}\n`);
    return ExitCode.usage;
  }
  const options: DaemonOptions = {
    file: findConfigFile(values.config, process.env),
    set: values.set ?? [],
    env: process.env,
    logging: { debug: values.debug, format, colors: !values.nocolors },
  };
  setFlagsFromString(smallYoungGeneration);
  setFlagsFromString(moreInlining);
  // Both take long, and the child process that loads the configuration works in parallel.
  const [loaded, { runDaemon }] = await Promise.all([
    loadConfigInChildProcess(options),
    import("../../process/daemon.ts"),
  ]);
  return runDaemon(options, loaded);
}
