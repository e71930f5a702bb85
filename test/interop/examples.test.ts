/** A stranger's afternoon: the examples copied out of the repository, with the package as it is packed. No network. */
import assert from "node:assert/strict";
import { once } from "node:events";
import {
  chmodSync,
  cpSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { after, before, describe, type TestContext, test } from "node:test";
import { announce } from "../../src/client/tracker-client.ts";
import { Program } from "../support/daemon.ts";

const root = join(import.meta.dirname, "../..");
const projects = globSync("examples/*/package.json", { cwd: root }).map((file) => basename(dirname(file)));
const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
const done = { code: 0, signal: null };

const directory = mkdtempSync(join(tmpdir(), "chihaya-examples-"));
after(() => rmSync(directory, { recursive: true, force: true }));
const modules = join(directory, "node_modules");
const path = `${join(modules, ".bin")}:${process.env.PATH}`;

/** Runs a command in a folder. */
function run(t: TestContext, folder: string, ...command: string[]): Program {
  return new Program(t, "sh", ["-c", 'cd "$0" && exec "$@"', join(directory, folder), ...command], {
    PATH: path,
  });
}

async function succeed(t: TestContext, folder: string, ...command: string[]): Promise<string> {
  const program = run(t, folder, ...command);
  const end = await program.ended;
  assert.deepEqual(end, done, `${command.join(" ")}\n${program.stdout}\n${program.stderr}`);
  return program.stdout;
}

/** Builds the package apart from the repository, packs it, and unpacks it where npm would. */
before(async (t) => {
  const context = t as TestContext;
  const source = join(directory, "source");
  mkdirSync(join(modules, ".bin"), { recursive: true });
  symlinkSync(process.execPath, join(modules, ".bin/node"));
  for (const file of [
    "package.json",
    "README.md",
    "LICENSE",
    ...manifest.files.filter((file: string) => file !== "dist"),
  ]) {
    cpSync(join(root, file), join(source, file), { recursive: true });
  }
  const tsc = join(root, "node_modules/typescript/bin/tsc");
  await succeed(context, "", tsc, "-p", join(root, "tsconfig.build.json"), "--outDir", join(source, "dist"));
  await succeed(context, "source", "npm", "pack", "--ignore-scripts", "--pack-destination", directory);
  mkdirSync(join(modules, "chihaya"));
  const archive = join(directory, `chihaya-${manifest.version}.tgz`);
  await succeed(context, "node_modules/chihaya", "tar", "-xzf", archive, "--strip-components=1");
  const bin = join(modules, "chihaya", manifest.bin.chihaya);
  chmodSync(bin, 0o755);
  symlinkSync(bin, join(modules, ".bin/chihaya"));
  symlinkSync(tsc, join(modules, ".bin/tsc"));
  for (const name of [...Object.keys(manifest.dependencies), "koffi", "zod", "typescript", "@types/node"]) {
    mkdirSync(dirname(join(modules, name)), { recursive: true });
    symlinkSync(join(root, "node_modules", name), join(modules, name));
  }
  for (const project of projects) {
    const filter = (file: string) => !/node_modules|dist$/.test(basename(file));
    cpSync(join(root, "examples", project), join(directory, project), { recursive: true, filter });
  }
});

/** Starts the tracker with a project's own configuration, on ports of the system's choice. */
async function serve(t: TestContext, project: string, workers: number): Promise<Program> {
  const addresses = ["http.addr", "udp.addr", "metrics_addr"].flatMap((name) => [
    "--set",
    `${name}=127.0.0.1:0`,
  ]);
  const flags = ["--json", "--config", "chihaya.yaml", "--set", `workers=${workers}`, ...addresses];
  const program = run(t, project, "chihaya", ...flags);
  await program.until(({ url }) => url?.startsWith("udp:") === true);
  return program;
}

function announceTo(program: Program, scheme: string, port = 6881, infoHash = 0xaa) {
  const { url } = program.lines.find((line) => line.msg === "serving" && line.url?.startsWith(scheme))!;
  const peer = { infoHash: new Uint8Array(20).fill(infoHash), peerId: new Uint8Array(20).fill(2), left: 1n };
  return announce(`${url}/announce`, { ...peer, port });
}

describe("the examples, copied out", () => {
  assert.ok(projects.length >= 4);

  for (const project of projects) {
    test(`${project} passes its tests, and builds, types included`, async (t) => {
      assert.match(await succeed(t, project, "npm", "test"), /^. fail 0$/m);
      await succeed(t, project, "npm", "run", "build");
      assert.ok(globSync("dist/*.js", { cwd: join(directory, project) }).length > 1);
    });
  }

  for (const workers of [1, 2]) {
    test(`ten-line-hook does its work with ${workers} workers`, async (t) => {
      const tracker = await serve(t, "ten-line-hook", workers);
      for (const scheme of ["http", "udp"]) {
        assert.equal((await announceTo(tracker, scheme)).incomplete, 1);
        await assert.rejects(announceTo(tracker, scheme, 80), /choose a port above 1023/);
      }
    });

    test(`own-store keeps the peers of both protocols with ${workers} ${workers === 1 ? "worker" : "workers, each its own"}`, async (t) => {
      const tracker = await serve(t, "own-store", workers);
      await announceTo(tracker, "udp", 6882);
      const { incomplete, peers } = await announceTo(tracker, "http", 6881);
      if (workers === 1) assert.deepEqual([incomplete, peers.length], [2, 1]);
    });

    test(`ask-a-service does its work with ${workers} workers`, async (t) => {
      const service = createServer(({ url }, response) =>
        response.writeHead(url === `/torrents/${"aa".repeat(20)}` ? 200 : 404).end(),
      );
      t.after(() => service.close().closeAllConnections());
      await once(service.listen(0, "127.0.0.1"), "listening");
      const file = join(directory, "ask-a-service/chihaya.yaml");
      const text = readFileSync(join(root, "examples/ask-a-service/chihaya.yaml"), "utf8");
      assert.match(text, /:8080\//);
      writeFileSync(file, text.replace(":8080/", `:${(service.address() as AddressInfo).port}/`));
      const tracker = await serve(t, "ask-a-service", workers);
      for (const scheme of ["http", "udp"]) {
        assert.equal((await announceTo(tracker, scheme)).incomplete, 1);
        await assert.rejects(announceTo(tracker, scheme, 6881, 0xbb), /unregistered torrent/);
      }
    });

    test(`own-frontend does its work with ${workers} workers`, async (t) => {
      const file = join(directory, "own-frontend/chihaya.yaml");
      const text = readFileSync(join(root, "examples/own-frontend/chihaya.yaml"), "utf8");
      assert.match(text, /:6900"/);
      writeFileSync(file, `${text.replace(':6900"', ':0"')}  udp: {}\n`);
      const tracker = await serve(t, "own-frontend", workers);
      await tracker.until(({ url }) => url?.startsWith("lines:") === true);
      const { url } = tracker.lines.find((line) => line.msg === "serving" && line.url?.startsWith("lines:"))!;
      const client = connect(Number(new URL(url!).port), "127.0.0.1");
      t.after(() => client.destroy());
      for (const expected of ["1800 0 1 127.0.0.1:6881", "1800 0 1 127.0.0.1:6881"]) {
        client.write(`announce ${"aa".repeat(20)} 6881 1\n`);
        assert.equal(`${(await once(client, "data"))[0]}`, `${expected}\n`);
      }
      assert.equal((await announceTo(tracker, "http", 6882)).incomplete, 2);
    });

    test(`announce-log does its work with ${workers} workers`, async (t) => {
      const file = join(directory, "announce-log/announces.jsonl");
      rmSync(file, { force: true });
      const tracker = await serve(t, "announce-log", workers);
      for (const port of [1001, 1002, 1003]) await announceTo(tracker, "http", port);
      for (const port of [1004, 1005]) await announceTo(tracker, "udp", port);
      tracker.child.kill("SIGTERM");
      assert.deepEqual(await tracker.ended, done);
      const ports = readFileSync(file, "utf8")
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line).port);
      assert.deepEqual(ports.sort(), [1001, 1002, 1003, 1004, 1005]);
    });
  }
});
