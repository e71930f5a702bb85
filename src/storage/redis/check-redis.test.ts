import assert from "node:assert/strict";
import { test } from "node:test";
import { checkRedis } from "./check-redis.ts";
import type { RedisPort } from "./redis-port.ts";

/** Connects to a Redis whose INFO is this text. @returns the warnings */
async function connect(info: string | Error): Promise<string[]> {
  const warnings: string[] = [];
  const send = async (): Promise<unknown> => {
    if (info instanceof Error) throw info;
    return Buffer.from(info);
  };
  const port: RedisPort = {
    isCluster: false,
    connect: async () => undefined,
    send,
    masters: () => [{ send }],
    renew: () => undefined,
    close: () => undefined,
  };
  const checked = checkRedis(port, (message) => warnings.push(message));
  await checked.connect();
  await checked.connect(); // says nothing twice
  return warnings;
}

const info = (version: string, policy: string, limit = "0"): string =>
  `# Server\r\nredis_version:${version}\r\n# Memory\r\nmaxmemory:${limit}\r\nmaxmemory_policy:${policy}\r\n`;

test("a Redis that is too old is refused, any other causes no warning", async () => {
  for (const version of ["6.0.16", "5.0.7"]) {
    await assert.rejects(connect(info(version, "noeviction")), {
      message: `Redis ${version} is too old; 6.2 or later is needed, or Valkey`,
    });
  }
  for (const version of ["6.2.0", "7.0.15", "10.1.0"]) {
    assert.deepEqual(await connect(info(version, "noeviction")), []);
  }
});

test("a policy that evicts torrents is warned about, with what to do", async () => {
  for (const policy of ["allkeys-lru", "volatile-ttl", "allkeys-random"]) {
    assert.deepEqual(await connect(info("7.0.15", policy, "1000")), [
      `maxmemory-policy is ${policy}: Redis deletes whole torrents when memory is full; set it to noeviction, so that only new peers are left out`,
    ]);
  }
});

test("a user without INFO gets a list of the skipped checks", async () => {
  const error = new Error("NOPERM this user has no permissions to run the 'info' command");
  const [time, info, ...others] = await connect(error);
  assert.match(time!, /TIME/);
  assert.match(info!, /INFO/);
  assert.deepEqual(others, []);
  await assert.rejects(connect(new Error("Socket closed")), /Socket closed/);
});
