import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { ClusterConnection, type ServerConnection } from "./cluster-connection.ts";
import { slotOf } from "./key-slot.ts";
import type { RedisArgument } from "./redis-port.ts";

type Reply = (args: readonly RedisArgument[]) => unknown;
const never = new Promise<never>(() => undefined);

/** Servers by `host:port`; each has a function that replies, "dead" refuses connections, "mute" accepts but never replies. */
function createCluster(servers: Record<string, Reply | "dead" | "mute">, readTimeoutMs = 50) {
  const open = new Map<string, number>();
  const subscriptions: { address: string; isOpen: boolean; lose(): void }[] = [];
  const port = new ClusterConnection({
    roots: Object.keys(servers),
    connectTimeoutMs: 50,
    readTimeoutMs,
    open(host, number): ServerConnection {
      const address = `${host}:${number}`;
      const server = servers[address];
      const isDead = (): boolean => servers[address] === "dead" || servers[address] === undefined;
      open.set(address, (open.get(address) ?? 0) + 1);
      return {
        get isReady() {
          return !isDead();
        },
        opened: server === "dead" ? Promise.reject(new Error("refused")) : Promise.resolve(),
        send: async (args) => (typeof server === "function" ? server(args) : never),
        destroy: () => void open.set(address, open.get(address)! - 1),
      };
    },
    async subscribe(host, number, _channel, _receive, onLost) {
      const address = `${host}:${number}`;
      if (servers[address] === "dead") throw new Error("refused");
      const subscription = {
        ...{ address, isOpen: true },
        lose() {
          subscription.isOpen = false;
          onLost();
        },
      };
      subscriptions.push(subscription);
      return () => {
        subscription.isOpen = false;
      };
    },
  });
  return { port, subscriptions, open: () => Object.fromEntries([...open].filter(([, count]) => count > 0)) };
}

/** Replies to CLUSTER SLOTS with halves of the slots, and to other commands with `reply`. */
const naming =
  (owners: () => [host: string | null, port: number][], reply: Reply): Reply =>
  (args) => {
    if (args[0] !== "CLUSTER") return reply(args);
    const half = 16384 / owners().length;
    return owners().map(([host, port], n) => [
      n * half,
      (n + 1) * half - 1,
      [host === null ? null : Buffer.from(host), port, "id"],
    ]);
  };
const low = Buffer.from("{123456789}a"); // slot 12739
const high = Buffer.from("b"); // slot 3300
const send = (port: ClusterConnection, key: Buffer) => port.send(key, ["GET", key]);

test("keys have the slots that the cluster gives them", () => {
  const slots: [string, number][] = [
    ["123456789", 12739],
    ["{123456789}abc", 12739],
    ["x{123456789}{y}", 12739],
    ["foo{}{bar}", 8363],
    ["b", 3300],
    ["", 0],
  ];
  for (const [key, slot] of slots) assert.equal(slotOf(Buffer.from(key)), slot, key);
});

describe("connection to a cluster", () => {
  test("commands go to the primary of their key; one without a host is the one that was asked", async () => {
    const owners = (): [string | null, number][] => [
      ["::1", 1],
      [null, 2],
    ];
    const { port, open } = createCluster({
      "::1:2": naming(owners, () => "second"),
      "::1:1": naming(
        () => [
          ["::1", 1],
          ["::1", 2],
        ],
        () => "first",
      ),
    });
    await port.connect();
    assert.deepEqual([await send(port, high), await send(port, low)], ["first", "second"]);
    assert.equal(port.masters().length, 2);
    port.close();
    assert.deepEqual(open(), {});
  });

  for (const how of ["dead", "mute"] as const) {
    test(`a primary that is ${how} keeps nobody from the others, nor from hearing of its successor`, async () => {
      let owners: [string, number][] = [
        ["a", 1],
        ["b", 1],
      ];
      const alive = naming(
        () => owners,
        () => "alive",
      );
      const { port, open } = createCluster({ "a:1": how, "b:1": alive, "c:1": alive, "d:1": alive });
      const connecting = port.connect();
      if (how === "dead") await assert.rejects(connecting, /no connection to a:1/);
      else await connecting;
      assert.equal(await send(port, low), "alive");
      const waiting = Promise.race([
        send(port, high),
        new Promise((resolve) => setImmediate(resolve, "waits")),
      ]);
      if (how === "dead") await assert.rejects(waiting, /refused/);
      else assert.equal(await waiting, "waits");
      await assert.rejects(Promise.all(port.masters().map((node) => node.send(["PING"]))));
      owners = [
        ["c", 1],
        ["b", 1],
      ];
      await port.connect();
      assert.equal(await send(port, high), "alive");
      port.close();
      assert.deepEqual(open(), {}, "no connection is left");
    });
  }

  test("who has the slots of a server that has gone is asked before a command is given up", async () => {
    let owner = "a";
    const alive = naming(
      () => [[owner, 1]],
      () => "alive",
    );
    const servers: Record<string, Reply | "dead"> = { "a:1": alive, "b:1": alive };
    const { port } = createCluster(servers);
    await port.connect();
    assert.equal(await send(port, low), "alive");
    owner = "b";
    servers["a:1"] = "dead";
    assert.equal(await send(port, low), "alive");
    port.close();
  });

  test("a server that is behind is outvoted", async () => {
    const rest = naming(
      () => [["b", 1]],
      () => "right",
    );
    const behind = naming(
      () => [["a", 1]],
      () => "wrong",
    );
    const { port } = createCluster({ "a:1": behind, "b:1": rest, "c:1": rest });
    await port.connect();
    assert.equal(await send(port, low), "right");
    port.close();
  });

  test("follows MOVED and ASK, but not without end", async () => {
    const sent: string[] = [];
    let redirection = `MOVED ${slotOf(low)} :2`;
    const owners = (): [string, number][] => [["a", 1]];
    const { port } = createCluster({
      "a:1": naming(owners, () => {
        throw new Error(redirection);
      }),
      "a:2": naming(owners, ([name]) => sent.push(`${name}`)),
    });
    await port.connect();
    await send(port, low);
    assert.deepEqual(sent, ["GET"]);
    redirection = `ASK ${slotOf(high)} a:2`;
    await send(port, high);
    assert.deepEqual(sent, ["GET", "ASKING", "GET"]);
    redirection = `MOVED ${slotOf(high)} a:1`;
    await assert.rejects(send(port, high), /MOVED/);
    port.close();
  });

  for (const isLate of [false, true]) {
    const how = isLate ? "in replies from before the move" : "in later replies";
    test(`servers that have missed a failover do not lead back to the former primary ${how}`, async () => {
      const before: [string, number][] = ["a", "b", "c", "d"].map((host) => [host, 1]);
      const after: [string, number][] = [["e", 1], ...before.slice(1)];
      const released = Promise.withResolvers<void>();
      let hasMoved = false;
      let isHeld = false;
      const server = (owners: () => [string, number][], reply: Reply): Reply => {
        const named = naming(owners, reply);
        return (args) => {
          const result = named(args);
          return isHeld && args[0] === "CLUSTER" ? released.promise.then(() => result) : result;
        };
      };
      const behind = server(
        () => before,
        () => "another",
      );
      const servers: Record<string, Reply | "dead"> = {
        "a:1": server(
          () => (hasMoved ? after : before),
          () => {
            if (hasMoved) throw new Error(`MOVED ${slotOf(high)} e:1`);
            return "former";
          },
        ),
        "b:1": behind,
        "c:1": behind,
        "d:1": behind,
        "e:1": server(
          () => after,
          () => "successor",
        ),
      };
      const { port } = createCluster(servers, 5000);
      await port.connect();
      assert.equal(await send(port, high), "former");
      isHeld = isLate;
      const refreshed = isLate ? port.connect() : undefined;
      await nextTurn();
      isHeld = false;
      hasMoved = true;
      assert.equal(await send(port, high), "successor");
      released.resolve();
      await refreshed;
      for (let turns = 0; turns < 5; turns++) await nextTurn();
      servers["a:1"] = "dead";
      assert.equal(await send(port, high), "successor");
      assert.equal(await send(port, Buffer.from("")), "successor", "another slot of the former primary");
      port.close();
    });
  }
  test("a command waits for a cluster that is down for a moment, but not for one that stays down", async (t) => {
    t.mock.timers.enable({ apis: ["setTimeout"] });
    let now = 0;
    t.mock.method(performance, "now", () => now);
    let downs = 3;
    let sent = 0;
    const server = naming(
      () => [["a", 1]],
      () => {
        sent++;
        now += 50;
        if (downs-- > 0) throw new Error("CLUSTERDOWN The cluster is down");
        return "up";
      },
    );
    const { port } = createCluster({ "a:1": server }, 400);
    const settle = async <T>(work: Promise<T>): Promise<T> => {
      let isOver = false;
      const end = () => {
        isOver = true;
      };
      work.then(end, end);
      while (!isOver) {
        t.mock.timers.tick(50);
        await nextTurn();
      }
      return work;
    };
    await settle(port.connect());
    for (const round of [1, 2]) {
      downs = 3;
      assert.equal(await settle(send(port, low)), "up", `round ${round}`);
    }
    downs = Number.POSITIVE_INFINITY;
    await assert.rejects(settle(send(port, low)), /CLUSTERDOWN/);
    sent = 0;
    await assert.rejects(settle(send(port, low)), /CLUSTERDOWN/);
    assert.equal(sent, 1, "later commands do not wait");
    port.close();
  });

  test("a command that a former primary never answers goes to its successor, unless it is late", async (t) => {
    let now = 0;
    t.mock.method(performance, "now", () => now);
    let owner = "a";
    let sent = 0;
    const owners = (): [string, number][] => [[owner, 1]];
    const successor = naming(owners, () => "successor");
    const servers: Record<string, Reply | "dead"> = { "b:1": successor, "c:1": successor };
    const { port } = createCluster(servers, 50);
    const breakAt = (ms: number, next: string) => {
      owner = "a";
      servers["a:1"] = naming(owners, () => {
        sent++;
        now += ms;
        owner = next;
        servers["a:1"] = "dead";
        throw new Error("Socket closed unexpectedly");
      });
      return port.connect();
    };
    await breakAt(0, "b");
    assert.equal(await send(port, low), "successor");
    await breakAt(0, "a");
    await assert.rejects(send(port, low), /Socket closed/, "no other server has the slot");
    await breakAt(25, "b");
    await assert.rejects(
      send(port, low),
      /Socket closed/,
      "the store has served the announce by other means",
    );
    assert.equal(sent, 3);
    port.close();
  });

  test("an error that a former primary replies ends the command, because that server has read it", async () => {
    let owner = "a";
    const owners = (): [string, number][] => [[owner, 1]];
    const refused = Promise.withResolvers<never>();
    const successor = naming(owners, () => "successor");
    const former = naming(owners, () => refused.promise);
    const { port } = createCluster({ "a:1": former, "b:1": successor, "c:1": successor });
    await port.connect();
    const command = send(port, low);
    await nextTurn();
    owner = "b";
    await port.connect(); // releases the former primary, which still has the command
    refused.reject(new Error("OOM command not allowed"));
    await assert.rejects(command, /OOM/);
    port.close();
  });

  test("a command leaves a server for which the cluster is down once the others name a new primary", async (t) => {
    let now = 0;
    t.mock.method(performance, "now", () => now);
    const before: [string, number][] = ["a", "b", "c", "e"].map((host) => [host, 1]);
    let owners = before;
    let downs = 0;
    const fail = (text: string): never => {
      throw new Error(text);
    };
    const former = naming(
      () => before,
      () => {
        now += 1000;
        if (downs-- > 0) fail("CLUSTERDOWN The cluster is down");
        return owners === before ? "former" : fail(`MOVED ${slotOf(high)} d:1`);
      },
    );
    const rest = naming(
      () => owners,
      () => "successor",
    );
    const { port } = createCluster(
      { "a:1": former, "b:1": rest, "c:1": rest, "d:1": rest, "e:1": rest },
      5000,
    );
    await port.connect();
    assert.equal(await send(port, high), "former");
    owners = [["d", 1], ...before.slice(1)];
    downs = Number.POSITIVE_INFINITY;
    assert.equal(await send(port, high), "successor");
    now += 10_000;
    owners = before;
    downs = 0;
    await port.connect();
    downs = 1;
    owners = [["d", 1], ...before.slice(1)];
    assert.equal(await send(port, high), "successor", "a former primary may be down for a moment again");
    port.close();
  });

  test("a subscription is made at the primary of its channel", async () => {
    const both = naming(
      () => [
        ["a", 1],
        ["b", 1],
      ],
      () => "alive",
    );
    const { port, subscriptions } = createCluster({ "a:1": both, "b:1": both });
    await port.connect();
    for (const channel of [low, high, low]) await port.subscribe(channel.toString(), () => undefined);
    assert.deepEqual(
      subscriptions.map(({ address }) => address),
      ["b:1", "a:1", "b:1"],
    );
    port.close();
  });

  test("a subscription is made at a server that responds, and moves to another when that one is lost", async (t) => {
    t.mock.timers.enable({ apis: ["setTimeout"] });
    const alive = naming(
      () => [["b", 1]],
      () => "alive",
    );
    const servers: Record<string, Reply | "dead"> = { "a:1": "dead", "b:1": alive, "c:1": alive };
    const { port, subscriptions } = createCluster(servers);
    const close = await port.subscribe("channel", () => undefined);
    const states = () =>
      subscriptions.map(({ address, isOpen }) => `${address} ${isOpen ? "open" : "closed"}`);
    assert.deepEqual(states(), ["b:1 open"]);
    servers["b:1"] = "dead";
    subscriptions[0]!.lose();
    t.mock.timers.tick(500);
    await nextTurn();
    assert.deepEqual(states(), ["b:1 closed", "c:1 open"]);
    servers["c:1"] = "dead";
    subscriptions[1]!.lose();
    t.mock.timers.tick(500);
    await nextTurn();
    assert.equal(subscriptions.length, 2, "no server responds");
    servers["a:1"] = alive;
    t.mock.timers.tick(500);
    await nextTurn();
    assert.deepEqual(states(), ["b:1 closed", "c:1 closed", "a:1 open"]);
    close();
    subscriptions[2]!.lose();
    t.mock.timers.tick(500);
    await nextTurn();
    assert.deepEqual(states().slice(2), ["a:1 closed"], "it was closed");
    port.close();
  });
});
