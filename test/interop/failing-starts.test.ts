/**
 * A start that fails must end the process, so that a supervisor can start another one: nothing that was opened before the
 * failure may keep it alive.
 */
import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { setTimeout as wait } from "node:timers/promises";
import { createServer as createTlsServer } from "node:tls";
import { certificates } from "../fixtures/certificates.ts";
import { type DaemonSettings, main, Program, temporaryDirectory, toYaml } from "../support/daemon.ts";

const loopback = "127.0.0.1";

async function listenTcp(
  t: TestContext,
  onConnection: "accept" | "reset" | "reset later" | "answer HTTP" | "TLS",
): Promise<number> {
  const [{ cert, key }] = certificates;
  const server =
    onConnection === "TLS" ? createTlsServer({ cert: `${cert}`, key: `${key}` }) : createServer();
  server.on("connection", (socket: Socket) => {
    socket.on("error", () => undefined);
    if (onConnection === "reset") socket.resetAndDestroy();
    if (onConnection === "reset later") socket.on("data", () => socket.resetAndDestroy());
    if (onConnection === "answer HTTP")
      socket.on("data", () => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n"));
  });
  if (onConnection === "TLS") server.on("tlsClientError", () => undefined);
  await once(server.listen(0, loopback), "listening");
  t.after(() => server.close());
  return (server.address() as AddressInfo).port;
}

async function bindUdp(t: TestContext): Promise<number> {
  const socket = createSocket("udp4");
  await once(socket.bind(0, loopback), "listening");
  t.after(() => socket.close());
  return socket.address().port;
}

/** A hook module: `create` opens a timer, which `stop` closes. */
const timed = (body: string, name: string) => `
  export default {
    name: "${name}",
    create() {
      const timer = setInterval(() => undefined, 1000);
      return { stop: () => clearInterval(timer), ...(() => { ${body} })() };
    },
  };
`;

const modules: Readonly<Record<string, string>> = {
  "sound.mjs": timed("return {}", "sound"),
  "broken-create.mjs": `export default { name: "broken", create() { throw new Error("on purpose") } };`,
  "broken-start.mjs": timed(`return { start() { throw new Error("on purpose") } }`, "broken"),
  "no-hook.mjs": `export default { name: "broken", create: () => 5 };`,
  "exits.mjs": `export default { name: "exits", create: () => process.exit(3) };`,
  "dies.mjs": `export default { name: "dies", create: () => ({ start: () => new Promise(() => {
    setImmediate(() => { throw new Error("on purpose") }) }) }) };`,
  "leaves-open.mjs": `setInterval(() => undefined, 1000);
    export default { name: "leaves open", create() { throw new Error("on purpose") } };`,
};

interface Case {
  name: string;
  settings: (t: TestContext, directory: string) => Promise<DaemonSettings> | DaemonSettings;
  code?: number;
  /** What the log says. */
  says: RegExp;
  /** Whether something is left open that nobody can close. */
  leavesOpen?: boolean;
  /** Whether it is another thing with workers. */
  inWorkers?: boolean;
}

const redis = (port: number, scheme = "redis") => ({
  storage: {
    name: "redis",
    config: {
      redis_broker: `${scheme}://${loopback}:${port}`,
      redis_connect_timeout: "500ms",
      redis_read_timeout: "200ms",
    },
  },
});

const cases: Case[] = [
  {
    name: "a Redis that resets connections",
    inWorkers: true,
    settings: async (t) => redis(await listenTcp(t, "reset")),
    says: /cannot use Redis at redi/,
  },
  {
    name: "a Redis that resets connections when asked",
    settings: async (t) => redis(await listenTcp(t, "reset later")),
    says: /cannot use Redis at redi/,
  },
  {
    name: "an HTTP server in place of Redis",
    settings: async (t) => redis(await listenTcp(t, "answer HTTP")),
    says: /cannot use Redis at redi/,
  },
  {
    name: "a Redis that wants TLS",
    settings: async (t) => redis(await listenTcp(t, "TLS")),
    says: /cannot use Redis at redi/,
  },
  {
    name: "no Redis at all",
    settings: () => redis(1),
    says: /cannot use Redis at redi/,
  },
  {
    name: "a Redis that never answers",
    settings: async (t) => redis(await listenTcp(t, "accept")),
    says: /cannot use Redis at redi/,
  },
  {
    name: "a Redis with TLS that resets connections",
    settings: async (t) => redis(await listenTcp(t, "reset"), "rediss"),
    says: /cannot use Redis at redi/,
  },
  ...["broken-create", "broken-start", "no-hook"].map((name) => ({
    name: `a hook: ${name}`,
    settings: () => ({ prehooks: [{ module: "./sound.mjs" }, { module: `./${name}.mjs` }] }),
    says: /failed to start: broken: /,
  })),
  {
    name: "a hook behind one that does not start",
    inWorkers: true,
    settings: () => ({
      prehooks: [{ module: "./broken-start.mjs" }],
      posthooks: [{ module: "./sound.mjs" }],
    }),
    says: /failed to start: broken: on purpose/,
  },
  {
    name: "a hook that leaves something open",
    settings: () => ({ prehooks: [{ module: "./leaves-open.mjs" }] }),
    says: /failed to start: leaves open: on purpose/,
    leavesOpen: true,
  },
  {
    name: "an HTTP address in use",
    inWorkers: true,
    settings: async (t) => ({
      http: { addr: `${loopback}:${await listenTcp(t, "accept")}` },
      prehooks: [{ module: "./sound.mjs" }],
    }),
    says: /cannot listen on http:.*in use/,
  },
  {
    name: "an HTTPS address in use",
    settings: async (t, directory) => {
      const [cert, key] = [join(directory, "cert.pem"), join(directory, "key.pem")];
      writeFileSync(cert, certificates[0].cert);
      writeFileSync(key, certificates[0].key);
      const https_addr = `${loopback}:${await listenTcp(t, "accept")}`;
      return { http: { https_addr, tls_cert_path: cert, tls_key_path: key } };
    },
    says: /cannot listen on https?:.*in use/,
  },
  {
    name: "a UDP address in use",
    inWorkers: true,
    settings: async (t) => ({
      udp: { addr: `${loopback}:${await bindUdp(t)}` },
      prehooks: [{ module: "./sound.mjs" }],
    }),
    says: /cannot listen on udp:.*in use/,
  },
  {
    name: "a metrics address in use",
    inWorkers: true,
    settings: async (t) => ({ metrics_addr: `${loopback}:${await listenTcp(t, "accept")}` }),
    says: /cannot listen on http:.*in use/,
  },
  {
    name: "one of two metrics addresses in use",
    settings: async (t) => ({
      metrics_addr: [`${loopback}:0`, `${loopback}:${await listenTcp(t, "accept")}`],
    }),
    says: /cannot listen on http:.*in use/,
  },
  {
    name: "a certificate that is none",
    settings: (_t, directory) => {
      const file = join(directory, "cert.pem");
      writeFileSync(file, "no certificate");
      return { http: { https_addr: `${loopback}:0`, tls_cert_path: file, tls_key_path: file } };
    },
    code: 78,
    says: /is not a certificate in PEM/,
  },
];

const dying: Case[] = [
  {
    name: "ends its thread",
    settings: () => ({ prehooks: [{ module: "./exits.mjs" }] }),
    says: /ended with code 3/,
  },
  { name: "throws later", settings: () => ({ prehooks: [{ module: "./dies.mjs" }] }), says: /on purpose/ },
];

for (const workers of [1, 2]) {
  for (const each of workers === 1 ? cases : [...cases.filter(({ inWorkers }) => inWorkers), ...dying]) {
    test(`a start that fails ends: ${each.name}, ${workers} worker(s)`, { timeout: 60_000 }, async (t) => {
      const directory = temporaryDirectory(t);
      for (const [name, text] of Object.entries(modules)) writeFileSync(join(directory, name), text);
      const file = join(directory, "chihaya.yaml");
      writeFileSync(file, toYaml({ workers, ...(await each.settings(t, directory)) }));
      const args = [main, "--json", "--config", file];
      const program = new Program(t, process.execPath, args);
      assert.deepEqual(await program.ended, { code: each.code ?? 1, signal: null });
      assert.match(program.stderr, each.says);
      assert.equal(
        /something keeps the process alive/.test(program.stderr),
        each.leavesOpen === true && workers === 1,
      );
    });
  }
}

test("a pause of the machine after a start that fails is not taken for something that is left open", async (t) => {
  const directory = temporaryDirectory(t);
  const file = join(directory, "chihaya.yaml");
  writeFileSync(file, toYaml({ workers: 1, ...redis(await listenTcp(t, "reset")) }));
  const program = new Program(t, process.execPath, [main, "--json", "--config", file]);
  await program.until(({ msg }) => msg.startsWith("failed to start"));
  program.child.kill("SIGSTOP");
  await wait(2500); // the pause itself: longer than the process has for its end
  program.child.kill("SIGCONT");
  assert.deepEqual(await program.ended, { code: 1, signal: null });
  assert.doesNotMatch(program.stderr, /something keeps the process alive/);
});
