/** The admin API through a client that a generator has made from `docs/openapi.json`, as a stranger would make one. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { type TestContext, test } from "node:test";
import { promisify } from "node:util";
import { openDatabase } from "../../src/private/sites/sql/open-database.ts";
import { createTables } from "../../src/private/sites/sql/schema.ts";
import { withoutProgram } from "../e2e/process.ts";
import { announceQuery } from "../fixtures/http-server.ts";
import { adminTokens as tokens } from "../support/admin-server.ts";
import { Daemon, temporaryDirectory } from "../support/daemon.ts";

const run = promisify(execFile);
const generator = "openapi-python-client";
const skip = await withoutProgram(generator, ["--version"], `pip install ${generator}`);
const document = "docs/openapi.json";

/** Returns the Python of the environment in which a program is installed; it has the libraries of the generated client. */
async function pythonOf(program: string): Promise<string> {
  const { stdout } = await run("which", [program]);
  const [line] = readFileSync(stdout.trim(), "utf8").split("\n");
  const interpreter = /^#!(\S+)/.exec(line!)?.[1];
  return interpreter ?? join(dirname(stdout.trim()), "python3");
}

interface Call {
  readonly operation: string;
  readonly status: number;
  readonly type: string;
}

/** Generates the client. @returns the directory that has it */
async function generate(t: TestContext): Promise<string> {
  const directory = temporaryDirectory(t);
  const settings = join(directory, "generator.yaml");
  // The generator knows neither NDJSON, nor programs that would format the code.
  writeFileSync(
    settings,
    "post_hooks: []\ncontent_type_overrides:\n  application/x-ndjson: application/octet-stream\n",
  );
  const generated = await run(generator, [
    ...["generate", "--path", document, "--output-path", join(directory, "admin_client")],
    ...["--meta", "none", "--config", settings],
  ]);
  assert.doesNotMatch(`${generated.stdout}${generated.stderr}`, /warning/i);
  return directory;
}

/** Calls the API by the client. @param args  of the program that has the client */
async function callAll(directory: string, ...args: string[]): Promise<Call[]> {
  const { stdout } = await run(await pythonOf(generator), ["test/fixtures/admin-client.py", ...args], {
    env: { ...process.env, PYTHONPATH: directory, PYTHONDONTWRITEBYTECODE: "1" },
  });
  return stdout
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line));
}

/** Whether a resource needs a private tracker. */
function isOfSite(path: string): boolean {
  return /^\/api\/v1\/(site\/|journal$)/.test(path);
}

/** Asserts that each described operation was called once, with success, and its response parsed. */
function assertAll(calls: readonly Call[], ofSite: boolean): void {
  const { paths } = JSON.parse(readFileSync(document, "utf8")) as {
    paths: Record<string, Record<string, { operationId: string; responses: Record<string, unknown> }>>;
  };
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    isOfSite(path) === ofSite ? Object.values(methods) : [],
  );
  const named = (id: string) => id.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
  assert.deepEqual(
    calls.map(({ operation }) => operation).sort(),
    operations.map(({ operationId }) => named(operationId)).sort(),
    "each once",
  );
  for (const { operationId, responses } of operations) {
    const [success] = Object.keys(responses).filter((status) => status.startsWith("2"));
    const { status, type } = calls.find(({ operation }) => operation === named(operationId))!;
    assert.equal(`${status}`, success, operationId);
    // A document of no described form is a dict.
    const others: Record<string, string> = {
      getEvents: "event: stats",
      getListsNameEntries: "bytes",
      getOpenapiJson: "dict",
    };
    const parsed = `${operationId[0]!.toUpperCase()}${operationId.slice(1)}Response${success}`;
    assert.equal(type, success === "204" ? "NoneType" : (others[operationId] ?? parsed), operationId);
  }
}

test("a generated client calls every resource, and parses every response", { skip }, async (t) => {
  const directory = await generate(t);
  const prehooks = [{ name: "ip approval", options: { blacklist: ["192.0.2.128/25"] } }];
  const daemon = await Daemon.start(t, {
    ...{ admin: { tokens }, prehooks },
    storage: { name: "memory", config: { max_peers: 10_000, peer_ids: true } },
  });
  const { url } = await daemon.until(({ msg }) => msg === "serving dashboard and admin API");
  await fetch(`${daemon.url("http")}/announce?${announceQuery({ info_hash: "A".repeat(20) })}`);
  assertAll(await callAll(directory, url!, "admin", "41".repeat(20), "ip-approval-blacklist"), false);
});

test("a generated client calls every resource of a private site", { skip }, async (t) => {
  const directory = await generate(t);
  const database = join(directory, "private.sqlite");
  writeFileSync(database, "");
  const open = await openDatabase(database, "");
  await createTables(open);
  await open.database.close();
  // The software of this site fetches the journal.
  const site = { site: "http", database, journal: { dir: join(directory, "journal") } };
  const daemon = await Daemon.start(t, { admin: { tokens }, workers: 1, private: site });
  const { url } = await daemon.until(({ msg }) => msg === "serving dashboard and admin API");
  assertAll(await callAll(directory, url!, "admin", "site"), true);
});
