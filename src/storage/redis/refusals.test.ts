/** Redis refuses a login or the database: a start says so at once, since no later attempt can succeed, and names the remedy. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { redisConfig } from "../../../test/fixtures/redis-config.ts";
import { startRedisCluster, startRedisSentinels } from "../../../test/support/redis-groups.ts";
import { startRedisServer, withoutRedis } from "../../../test/support/redis-server.ts";
import type { RedisStoreConfig } from "./config.ts";
import { tryRedis } from "./try-redis.ts";

const wrongPassword = /: WRONGPASS .*; correct the user or the password in redis_broker$/;
const noPassword = /: NOAUTH .*; add the password to redis_broker$/;

/** Checks the error of a start. Fails after ten minutes if the start waits for the connect timeout. */
async function expectRefusal(
  broker: readonly string[],
  topology: RedisStoreConfig["topology"],
  expected: RegExp,
): Promise<void> {
  const config = { ...redisConfig, broker, topology, connectTimeout: 86_400, readTimeout: 86_400 };
  await assert.rejects(tryRedis(config, { seconds: 0, unixSeconds: 0 }), (error: Error) => {
    assert.match(error.message, expected);
    assert.doesNotMatch(error.message, /secret|mistake/);
    return true;
  });
}

const withUser = (urls: readonly string[], user: string, database = 0): string[] =>
  urls.map((url) => url.replace("//", `//${user}`).replace(/\d+$/, `${database}`));

describe("refusals of Redis", { skip: withoutRedis }, () => {
  for (const [what, user, database, expected] of [
    ["a wrong password", ":mistake@", 0, wrongPassword],
    ["an unknown user", "nobody:secret@", 0, wrongPassword],
    ["no password", "", 0, noPassword],
    [
      "an unknown database",
      ":secret@",
      99,
      /: ERR .*out of range; lower the number of the database in redis_broker$/,
    ],
    [
      "a user without SELECT",
      "limited:secret@",
      1,
      /: NOPERM .*'select'.*; allow it to the user of redis_broker$/,
    ],
  ] as const) {
    test(`one server: ${what}`, async () => {
      const server = await startRedisServer(["--requirepass", "secret"]);
      try {
        const limited = ["on", ">secret", "~*", "+@all", "-select"];
        await server.cli("-a", "secret", "ACL", "SETUSER", "limited", ...limited);
        await expectRefusal(withUser([server.url], user, database), "single", expected);
      } finally {
        await server.stop();
      }
    });
  }

  test("one server: a password that it does not need", async () => {
    const server = await startRedisServer();
    try {
      const expected = /: ERR AUTH .*; remove the password from redis_broker$/;
      await expectRefusal(withUser([server.url], ":secret@"), "single", expected);
    } finally {
      await server.stop();
    }
  });

  test("sentinels: of the primary and of the sentinels", async () => {
    const { broker, servers, stop } = await startRedisSentinels();
    try {
      await expectRefusal(withUser(broker, "", 99), "sentinel", /: ERR .*out of range; lower/);
      const [primary] = servers;
      await primary!.cli("CONFIG", "SET", "requirepass", "secret");
      await expectRefusal(withUser(broker, ":mistake@"), "sentinel", wrongPassword);
      await expectRefusal(broker, "sentinel", noPassword);
      for (const url of broker) {
        const user = ["default", "resetpass", ">secret"];
        await primary!.cli("-p", new URL(url).port, "ACL", "SETUSER", ...user);
      }
      await expectRefusal(withUser(broker, ":mistake@"), "sentinel", wrongPassword);
      await expectRefusal(broker, "sentinel", noPassword);
    } finally {
      await stop();
    }
  });

  test("sentinels: not of one, since another one accepts", async () => {
    const { broker, servers, stop } = await startRedisSentinels();
    try {
      const [first] = broker;
      const user = ["default", "resetpass", ">secret"];
      await servers[0]!.cli("-p", new URL(first!).port, "ACL", "SETUSER", ...user);
      const config = { ...redisConfig, broker, topology: "sentinel", connectTimeout: 86_400 } as const;
      await tryRedis(config, { seconds: 0, unixSeconds: 0 });
    } finally {
      await stop();
    }
  });

  test("a cluster: of all servers, and of one", async () => {
    const { broker, servers, stop } = await startRedisCluster();
    try {
      await servers[1]!.cli("CONFIG", "SET", "requirepass", "secret");
      await expectRefusal(broker, "cluster", noPassword);
      for (const server of servers) await server.cli("CONFIG", "SET", "requirepass", "secret");
      await expectRefusal(withUser(broker, ":mistake@"), "cluster", wrongPassword);
      await expectRefusal(broker, "cluster", noPassword);
      for (const server of servers) {
        const limited = ["on", ">secret", "~*", "+@all", "-cluster"];
        await server.cli("-a", "secret", "ACL", "SETUSER", "limited", ...limited);
      }
      await expectRefusal(withUser(broker, "limited:secret@"), "cluster", /: NOPERM .*'cluster.*; allow it/);
      await servers[1]!.cli("-a", "secret", "CONFIG", "SET", "requirepass", "another");
      await expectRefusal(withUser(broker, ":secret@"), "cluster", wrongPassword);
    } finally {
      await stop();
    }
  });
});
