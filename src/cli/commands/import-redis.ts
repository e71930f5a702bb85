import { parseArgs } from "node:util";
import { formatDiagnostics } from "../../config/diagnostics.ts";
import { loadConfig } from "../../config/load.ts";
import { findConfigFile } from "../../config/source.ts";
import { checkBroker, type RedisStoreConfig } from "../../storage/redis/config.ts";
import { ExitCode } from "../command.ts";
import { complain, print } from "../terminal.ts";

export const help = `Imports the swarms that Chihaya has in Redis into the store "redis" of the configuration.

Usage: chihaya import-redis [--from URL] [OPTIONS]

  --from URL       Chihaya's Redis, such as redis://user:password@127.0.0.1:6379/0 (default: the Redis of the
                   configuration, if it is a single server)
  --config FILE    configuration file (see chihaya serve --help)
  --set PATH=VALUE overrides one setting, such as --set storage.name=redis; repeatable

Peers keep the time of their last announce. The command does not change Chihaya's data. Chihaya and the tracker can run
meanwhile. The command can be repeated: newer data in the store stays.

Exit codes: 0 done, 1 a Redis is unavailable or full, 2 wrong usage, 78 the configuration is invalid.
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
  const tags = loaded.config.private !== undefined;
  const config: RedisStoreConfig = { ...(storage.config as RedisStoreConfig), tags };
  const { broker, topology } = config;
  const from = values.from ?? (topology === "single" ? broker[0] : undefined);
  const problem =
    from === undefined ? "needed, as the configuration names several servers" : checkBroker(from);
  if (from === undefined || problem !== undefined) {
    say(`--from: ${problem}`);
    return ExitCode.usage;
  }
  const { importFromChihaya } = await import("../../process/import-redis.ts");
  try {
    const { imported, expired, refused } = await importFromChihaya(config, from, say);
    print(`imported ${imported} peers; ${expired} had expired\n`);
    if (refused > 0) {
      say(`Redis was full and refused ${refused} peers; raise maxmemory of Redis and import again`);
      return ExitCode.failed;
    }
    return ExitCode.ok;
  } catch (error) {
    say((error as Error).message);
    return ExitCode.failed;
  }
}
