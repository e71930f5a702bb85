import { isForbidden } from "./redis-errors.ts";
import type { RedisNode, RedisPort } from "./redis-port.ts";

/** The oldest version with the scripts and commands of this store. */
const oldest = [6, 2];

/**
 * Checks, for each new connection, whether Redis can do what the store needs.
 * @param warn  called with each doubt, once per text
 * @returns the same port, whose `connect` rejects if Redis is too old
 */
export function checkRedis(port: RedisPort, warn: (message: string) => void): RedisPort {
  const said = new Set<string>();
  const warnOnce = (message: string): void => {
    if (said.size < said.add(message).size) warn(message);
  };
  return {
    isCluster: port.isCluster,
    async connect() {
      await port.connect();
      for (const node of await port.masters()) await checkNode(node, warnOnce);
    },
    send: (key, args) => port.send(key, args),
    masters: () => port.masters(),
    ...(port.subscribe && { subscribe: port.subscribe.bind(port) }),
    renew: () => port.renew(),
    close: () => port.close(),
  };
}

async function checkNode(node: RedisNode, warn: (message: string) => void): Promise<void> {
  await node.send(["TIME"]).catch((error: Error) => {
    if (!isForbidden(error)) throw error;
    warn("the Redis user may not run TIME, so the clocks are not compared (max_clock_skew)");
  });
  let info: string;
  try {
    info = `${await node.send(["INFO"])}`;
  } catch (error) {
    if (!isForbidden(error)) throw error;
    warn("the Redis user may not run INFO, so version and maxmemory_policy are not checked");
    return;
  }
  const find = (field: string): string => new RegExp(`^${field}:(.*?)\\r?$`, "m").exec(info)?.[1] ?? "";
  const version = find("redis_version");
  const [major = 0, minor = 0] = version.split(".").map(Number);
  if (major < oldest[0]! || (major === oldest[0] && minor < oldest[1]!)) {
    throw new Error(`Redis ${version} is too old; ${oldest.join(".")} or later is needed, or Valkey`);
  }
  const policy = find("maxmemory_policy");
  if (policy === "noeviction" || policy === "") return;
  const limit = find("maxmemory") === "0" ? "if maxmemory is set" : "when memory is full";
  warn(
    `maxmemory-policy is ${policy}: Redis deletes whole torrents ${limit}; set it to noeviction, so that only new peers are left out`,
  );
}
