import { parseArgs } from "node:util";
import { setFlagsFromString } from "node:v8";
import { loadConfigInChildProcess } from "../../config/load-in-child-process.ts";
import { findConfigFile } from "../../config/source.ts";
import type { DaemonOptions } from "../../process/daemon.ts";

export const help = `Runs the tracker until it is told to stop.

Usage: chihaya [serve] [OPTIONS]

  --config FILE    configuration file; without it CHIHAYA_CONFIG, then /etc/chihaya.yaml if it exists,
                   then the built-in defaults
  --set PATH=VALUE overrides one setting, such as --set http.addr=127.0.0.1:7000; repeatable
  --debug          log debug lines as well
  --json           log JSON, one object a line
  --nocolors       log without colours

Signals: SIGINT and SIGTERM stop (a second one at once), SIGHUP and SIGUSR1 reload the configuration.

Exit codes: 0 stopped, 1 could not start or stopped at once, 2 wrong usage, 78 wrong configuration.
`;

/**
 * Keeps V8's young generation, in all threads, as small as it begins. It would grow with the traffic to many
 * times that, and Node's sockets hold on to memory beside it until it is full.
 */
const smallYoungGeneration = "--semi-space-growth-factor=1";

export async function run(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: {
      config: { type: "string" },
      set: { type: "string", multiple: true },
      debug: { type: "boolean", default: false },
      json: { type: "boolean", default: false },
      nocolors: { type: "boolean", default: false },
    },
  });
  const options: DaemonOptions = {
    file: findConfigFile(values.config, process.env),
    set: values.set ?? [],
    env: process.env,
    logging: { debug: values.debug, json: values.json, colors: !values.nocolors },
  };
  setFlagsFromString(smallYoungGeneration);
  // Side by side, as another process does the one: both take long.
  const [loaded, { runDaemon }] = await Promise.all([
    loadConfigInChildProcess(options),
    import("../../process/daemon.ts"),
  ]);
  return runDaemon(options, loaded);
}
