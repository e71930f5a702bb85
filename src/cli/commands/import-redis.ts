import { parseArgs } from "node:util";
import { formatDiagnostics } from "../../config/diagnostics.ts";
import { loadConfig } from "../../config/load.ts";
import { findConfigFile } from "../../config/source.ts";
import { checkBroker, type RedisStoreConfig } from "../../storage/redis/config.ts";
import { ExitCode } from "../command.ts";
import { complain, print } from "../terminal.ts";

export const help = `Takes over the swarms that Chihaya has in Redis, into the store "redis" of the configuration.

Usage: chihaya import-redis [--from URL] [OPTIONS]

  --from URL       Chihaya's engine, such as redis://user:password@127.0.0.1:6379/0; without it, the one of the
                   configuration, if that is a single server
  --config FILE    configuration file (see chihaya serve --help)
  --set PATH=VALUE overrides one setting, such as --set storage.name=redis; repeatable

Peers keep the time of their last announce. Nothing that Chihaya has is changed; trackers of either kind can run
meanwhile, and the command can be repeated: what is newer stays.

Exit codes: 0 done, 1 an engine cannot be used or is full, 2 wrong usage, 78 the configuration cannot be used.
`;

export async function run(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: {
      from: { type: "string" },
      config: { type: "string" },
      set: { type: "string", multiple: true },
    },
  });
  const say = (text: string): void => void complain(`chihaya: ${text}\n`);
  const file = findConfigFile(values.config, process.env);
  const loaded = loadConfig({ file, env: process.env, set: values.set });
  if (!loaded.ok) {
    complain(formatDiagnostics(loaded.errors));
    return ExitCode.config;
  }
  const { storage } = loaded.config;
  if (storage.name !== "redis") {
    say('import-redis needs storage.name "redis" in the configuration, or --set storage.name=redis');
    return ExitCode.config;
  }
  const config = storage.config as RedisStoreConfig;
  const { broker, topology } = config;
  const from = values.from ?? (topology === "single" ? broker[0] : undefined);
  const problem = from === undefined ? "names one server; give it" : checkBroker(from);
  if (from === undefined || problem !== undefined) {
    say(`--from: ${problem}`);
    return ExitCode.usage;
  }
  const { importFromChihaya } = await import("../../process/import-redis.ts");
  try {
    const { imported, expired, refused } = await importFromChihaya(config, from, say);
    print(`imported ${imported} peers; ${expired} had expired\n`);
    if (refused > 0) {
      say(`the engine was full and left ${refused} peers out; raise its maxmemory and import again`);
      return ExitCode.failed;
    }
    return ExitCode.ok;
  } catch (error) {
    say((error as Error).message);
    return ExitCode.failed;
  }
}
