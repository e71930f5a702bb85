import assert from "node:assert/strict";
import { once } from "node:events";
import { get, type IncomingMessage, request } from "node:http";
import { connect } from "node:net";
import { Readable } from "node:stream";
import { type TestContext, test } from "node:test";
import { listEngines } from "../../test/support/networks.ts";
import { noLag } from "../../test/support/no-lag.ts";
import type { Clock } from "../lib/clock.ts";
import { type Network, portableNetwork } from "../net/network.ts";
import { type Logger, silentLogger } from "../observability/logger.ts";
import { Metrics } from "../observability/metrics.ts";
import { OperatorServer } from "./operator-server.ts";
import { mainProfiler, type Profiler } from "./profiles.ts";

type Readiness = Record<string, boolean | string>;

async function started(
  t: TestContext,
  options: {
    profiling?: boolean;
    profilingHosts?: readonly string[];
    readiness?: () => Readiness;
    profiler?: Profiler;
    network?: Pick<Network, "listenStream">;
    clock?: Clock;
    lag?: typeof noLag;
    logger?: Logger;
  } = {},
): Promise<OperatorServer> {
  const metrics = new Metrics();
  metrics.counter("chihaya_things_total", "Things").inc(3);
  const server = new OperatorServer(
    {
      listen: { host: "127.0.0.1", port: 0 },
      profiling: options.profiling ?? false,
      profilingHosts: options.profilingHosts ?? [],
      version: "1.2.3",
    },
    {
      metrics,
      isReady: options.readiness ?? ((): Readiness => ({ storage: true })),
      network: options.network ?? portableNetwork,
      clock: options.clock ?? { seconds: 0, unixSeconds: 0 },
      lag: options.lag ?? noLag,
      ...(options.logger && { logger: options.logger }),
      profiler: options.profiler ?? mainProfiler,
    },
  );
  await server.start();
  t.after(() => server.stop());
  return server;
}

async function ask(url: string, method = "GET"): Promise<{ response: IncomingMessage; body: string }> {
  const asked = request(url, { method, agent: false }).end();
  const [response] = (await once(asked, "response")) as [IncomingMessage];
  let body = "";
  for await (const chunk of response.setEncoding("utf8")) body += chunk;
  return { response, body };
}

test("metrics are served in Prometheus' format", async (t) => {
  const { response, body } = await ask(`${(await started(t)).url}/metrics?x=y`);
  assert.equal(response.statusCode, 200);
  assert.equal(response.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
  assert.match(body, /^chihaya_things_total 3$/m);
});

for (const [method, path, status] of [
  ["GET", "/livez", 200],
  ["GET", "/version", 200],
  ["HEAD", "/metrics", 200],
  ["POST", "/metrics", 405],
  ["DELETE", "/livez", 405],
  ["GET", "/", 404],
  ["POST", "/", 405],
  ["GET", "/metrics/", 404],
  ["GET", "/debug/profile/cpu?seconds=1", 404],
  ["GET", "/debug/profile/heap", 404],
  ["GET", "//", 404],
  ["GET", "/%", 404],
] as const) {
  test(`${method} ${path} is answered with ${status}`, async (t) => {
    const { response, body } = await ask((await started(t)).url + path, method);
    assert.equal(response.statusCode, status);
    assert.equal(body === "", method === "HEAD");
    if (status === 405) assert.equal(response.headers.allow, "GET, HEAD");
  });
}

for (const [name, readiness, status, expected] of [
  ["all ready", { storage: true, udp: true }, 200, { storage: "ready", udp: "ready" }],
  ["one stopping", { storage: true, udp: "stopping" }, 503, { storage: "ready", udp: "stopping" }],
  ["one not ready", { storage: false }, 503, { storage: "not ready" }],
] as const) {
  test(`readiness is reported by component: ${name}`, async (t) => {
    const { url } = await started(t, { readiness: () => readiness });
    const { response, body } = await ask(`${url}/readyz`);
    assert.equal(response.statusCode, status);
    assert.deepEqual(JSON.parse(body), {
      status: status === 200 ? "ready" : "not ready",
      components: expected,
    });
  });
}

test("liveness does not depend on readiness and shows the lag of the event loop", async (t) => {
  const delays = { mean: 0.01, p50: 0.02, p99: 0.03, max: 0.04 };
  const { url } = await started(t, { readiness: () => ({ storage: false }), lag: { read: () => delays } });
  const { response, body } = await ask(`${url}/livez`);
  assert.equal(response.statusCode, 200);
  const { status, eventLoopLagSeconds } = JSON.parse(body);
  assert.equal(status, "alive");
  assert.deepEqual(eventLoopLagSeconds, delays);
});

const profiles = ["/debug/profile/cpu?seconds=1", "/debug/profile/heap"];
const quickProfiler: Profiler = {
  workers: 0,
  profileCpu: () => Promise.resolve("{}"),
  snapshotHeap: () => Promise.resolve(Readable.from(["{}"])),
};

for (const [what, headers, status] of [
  ["an IPv4 address", "Host: 127.0.0.1:6880", 200],
  ["an IPv6 address", "Host: [::1]:6880", 200],
  ["an address without a port", "Host: 127.0.0.1", 200],
  ["localhost", "Host: LocalHost:6880", 200],
  ["a configured name", "Host: Tracker.internal:6880", 200],
  ["another name", "Host: evil.example:6880", 421],
  ["a name that begins like an address", "Host: 127.0.0.1.evil.example", 421],
  ["a name that ends like a known one", "Host: evil.localhost", 421],
  ["an address in another form", "Host: 127.1", 421],
  ["a user before the name", "Host: localhost@evil.example", 421],
  ["no address in brackets", "Host: [evil.example]", 421],
  ["nothing", "Host:", 421],
  ["no Host", "Accept: */*", 421],
  ["a page of this listener", "Host: localhost\r\nSec-Fetch-Site: same-origin", 200],
  ["a page without an origin", "Host: localhost\r\nSec-Fetch-Site: none", 200],
  ["a page of another site", "Host: localhost\r\nSec-Fetch-Site: cross-site", 403],
  ["a page of another port", "Host: localhost\r\nSec-Fetch-Site: same-site", 403],
  ["two sites", "Host: localhost\r\nSec-Fetch-Site: none\r\nsec-fetch-site: cross-site", 403],
  ["its own origin", "Host: localhost:6880\r\nOrigin: http://localhost:6880", 200],
  ["another origin", "Host: localhost:6880\r\nOrigin: http://localhost:8080", 403],
  ["an opaque origin", "Host: localhost\r\nOrigin: null", 403],
  ["another site's link", "Host: 127.0.0.1:6880\r\nReferer: http://evil.example/", 403],
] as const) {
  test(`profiles: ${status} for ${what}, and health for all`, async (t) => {
    const server = await started(t, {
      profiling: true,
      profilingHosts: ["tracker.internal"],
      profiler: quickProfiler,
    });
    const port = Number(new URL(server.url).port);
    const statusOf = async (target: string) => {
      const client = connect(port, "127.0.0.1");
      client.write(`GET ${target} HTTP/1.1\r\n${headers}\r\n\r\n`);
      let text = "";
      for await (const chunk of client.setEncoding("latin1")) text += chunk;
      return Number(text.slice(9, 12));
    };
    for (const path of profiles) {
      assert.equal(await statusOf(path), status, path);
      assert.equal(await statusOf(`http://evil.example${path}`), 421, "whatever the target names");
    }
    for (const path of ["/metrics", "/livez", "/readyz", "/version"]) {
      assert.equal(await statusOf(path), 200, path);
    }
  });
}

test("what fails while answering is an internal error, and the listener goes on", async (t) => {
  let broken = true;
  const { url } = await started(t, {
    readiness: () => {
      if (broken) throw new Error("secret");
      return {};
    },
  });
  const { response, body } = await ask(`${url}/readyz`);
  assert.deepEqual([response.statusCode, body], [500, "internal server error\n"]);
  broken = false;
  assert.equal((await ask(`${url}/readyz`)).response.statusCode, 200);
});

test("an address that is in use is refused by name", async (t) => {
  const { url } = await started(t);
  const listen = { host: "127.0.0.1", port: Number(new URL(url).port) };
  const second = new OperatorServer(
    { listen, profiling: false, version: "" },
    {
      metrics: new Metrics(),
      isReady: () => ({}),
      network: portableNetwork,
      clock: { seconds: 0, unixSeconds: 0 },
      lag: noLag,
    },
  );
  await assert.rejects(second.start(), { message: new RegExp(`cannot listen on ${url}: .*in use`) });
  assert.equal(second.url, "");
});

test("a lack of descriptors is explained once a minute, and so is an answer that fails", async (t) => {
  const lines: string[] = [];
  const clock = { seconds: 0, unixSeconds: 0 };
  let onError = (_: Error): void => undefined;
  const logger: Logger = {
    ...silentLogger,
    warn: (_, message) => void lines.push(message),
    error: (_, message) => void lines.push(message),
  };
  const network: Pick<Network, "listenStream"> = {
    listenStream(options) {
      onError = options.onError;
      return portableNetwork.listenStream(options);
    },
  };
  const readiness = () => {
    throw new Error("on purpose");
  };
  const { url } = await started(t, { network, clock, logger, readiness });
  const shortage = Object.assign(new Error("accept: EMFILE"), { code: "EMFILE" });
  for (let i = 0; i < 1200; i++) {
    onError(shortage);
    clock.seconds = i / 20;
  }
  assert.equal(lines.length, 1);
  assert.match(lines[0]!, /no file descriptors left.*LimitNOFILE=.*ulimit -n/);
  clock.seconds = 60;
  onError(shortage);
  assert.equal(lines.length, 2);
  for (let i = 0; i < 20; i++) assert.equal((await ask(`${url}/readyz`)).response.statusCode, 500);
  assert.equal(lines.length, 2 + 5);
});

test("start and stop may be called again", async (t) => {
  const server = await started(t);
  const { url } = server;
  await server.start();
  assert.equal(server.url, url);
  await server.stop();
  await server.stop();
  assert.equal(server.url, "");
  await server.start();
  assert.equal((await ask(`${server.url}/livez`)).response.statusCode, 200);
});

test("garbage and clients that go away harm nobody", async (t) => {
  const { url } = await started(t, { profiling: true });
  const port = Number(new URL(url).port);
  for (const bytes of [
    "\0\xff\r\n\r\n",
    "GET /metrics HTTP/1.1\r\n",
    "GET /debug/profile/heap HTTP/1.1\r\nHost: x\r\n\r\n",
  ]) {
    const socket = connect(port, "127.0.0.1");
    await once(socket, "connect");
    await new Promise((resolve) => socket.write(bytes, "latin1", resolve));
    socket.resetAndDestroy();
  }
  assert.equal((await ask(`${url}/livez`)).response.statusCode, 200);
});

for (const seconds of ["0", "61", "-1", "1.5", "x", "", "1e1"]) {
  test(`a profile of "${seconds}" seconds is refused`, async (t) => {
    const { url } = await started(t, { profiling: true });
    assert.equal((await ask(`${url}/debug/profile/cpu?seconds=${seconds}`)).response.statusCode, 400);
  });
}

for (const worker of ["1", "-1", "x", ""]) {
  test(`a profile of worker "${worker}" is refused where there is none`, async (t) => {
    const { url } = await started(t, { profiling: true });
    for (const kind of ["cpu", "heap"]) {
      const { response } = await ask(`${url}/debug/profile/${kind}?worker=${worker}`);
      assert.equal(response.statusCode, 400);
    }
  });
}

test("a CPU profile is one that V8's tools read", async (t) => {
  const { url } = await started(t, { profiling: true });
  const { response, body } = await ask(`${url}/debug/profile/cpu?seconds=1`);
  assert.match(
    response.headers["content-disposition"] ?? "",
    /^attachment; filename="chihaya-\d+\.cpuprofile"$/,
  );
  const { nodes, startTime, endTime } = JSON.parse(body);
  assert.ok(nodes.length > 0);
  assert.ok(endTime - startTime >= 900_000);
});

test("a heap snapshot is one that V8's tools read", async (t) => {
  const { url } = await started(t, { profiling: true });
  const { body } = await ask(`${url}/debug/profile/heap`);
  assert.ok(JSON.parse(body).snapshot.node_count > 0);
});

/** A profiler whose profiles last until nobody wants them. */
function endlessProfiler(): { profiler: Profiler; begun: Promise<void>; over: Promise<void> } {
  const begun = Promise.withResolvers<void>();
  const over = Promise.withResolvers<void>();
  const profiler: Profiler = {
    ...mainProfiler,
    profileCpu: (_worker, _seconds, signal) => {
      begun.resolve();
      return new Promise((_, reject) => {
        signal.addEventListener("abort", () => {
          reject(signal.reason);
          over.resolve();
        });
      });
    },
  };
  return { profiler, begun: begun.promise, over: over.promise };
}

test("one profile is recorded at a time, until its client goes away", async (t) => {
  const { profiler, begun, over } = endlessProfiler();
  const { url } = await started(t, { profiling: true, profiler });
  const first = get(`${url}/debug/profile/cpu`, { agent: false }).on("error", () => {});
  await begun;
  for (const path of ["cpu?seconds=1", "heap"]) {
    assert.equal((await ask(`${url}/debug/profile/${path}`)).response.statusCode, 409);
  }
  first.destroy();
  await over;
  assert.equal((await ask(`${url}/debug/profile/heap`)).response.statusCode, 200);
});

test("stop does not wait for a profile", async (t) => {
  const { profiler, begun } = endlessProfiler();
  const server = await started(t, { profiling: true, profiler });
  const profile = get(`${server.url}/debug/profile/cpu`, { agent: false });
  const cutOff = once(profile, "response");
  await begun;
  await server.stop();
  await assert.rejects(cutOff, { code: "ECONNRESET" });
});

for (const engine of await listEngines()) {
  test(`${engine.name}: a request may come byte by byte`, { skip: engine.skip }, async (t) => {
    const network = await engine.open();
    t.after(() => network.close());
    const { url } = await started(t, { network });
    const socket = connect(Number(new URL(url).port), "127.0.0.1")
      .setNoDelay()
      .setEncoding("latin1");
    for (const byte of "HEAD /metrics?x=y HTTP/1.1\r\nHost: x\r\n\r\n") {
      await new Promise((resolve) => socket.write(byte, resolve));
    }
    let answer = "";
    for await (const chunk of socket) answer += chunk;
    assert.match(answer, /^HTTP\/1\.1 200 OK\r\n.*\r\n\r\n$/s);
  });

  test(`${engine.name}: too many connections cost the oldest its place`, { skip: engine.skip }, async (t) => {
    const network = await engine.open();
    t.after(() => network.close());
    const { url } = await started(t, { network });
    const idle = await Promise.all(
      Array.from({ length: 64 }, async () => {
        const socket = connect(Number(new URL(url).port), "127.0.0.1").on("error", () => {});
        t.after(() => socket.destroy());
        await new Promise((resolve) => socket.write("GET ", resolve));
        return socket;
      }),
    );
    const gone = Promise.race(
      idle.map((socket) => new Promise((resolve) => socket.resume().once("close", resolve))),
    );
    assert.equal((await ask(`${url}/livez`)).response.statusCode, 200);
    await gone;
  });
}

for (const [what, request, status] of [
  ["a head of more than 8 KiB", `GET /metrics HTTP/1.1\r\nX: ${"x".repeat(9000)}`, 431],
  ["garbage", "\0\xff\r\n\r\n", 400],
  ["another version", "GET /metrics HTTP/2.0\r\n\r\n", 505],
] as const) {
  test(`${what} is answered with ${status}`, async (t) => {
    const { url } = await started(t);
    const socket = connect(Number(new URL(url).port), "127.0.0.1").setEncoding("latin1");
    socket.end(request, "latin1");
    let answer = "";
    for await (const chunk of socket) answer += chunk;
    assert.ok(answer.startsWith(`HTTP/1.1 ${status} `), answer);
  });
}
