/** Lists and keys that do not come, or come from what is no file, do not hold up the start. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { type DaemonSettings, main, Program, temporaryDirectory, toYaml } from "../support/daemon.ts";

/** A server that accepts connections and says nothing. */
async function silentUrl(t: TestContext): Promise<string> {
  const server = createServer((socket) => socket.on("error", () => undefined));
  await once(server.listen(0, "127.0.0.1"), "listening");
  t.after(() => server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/list`;
}

function namedPipe(t: TestContext): string {
  const path = join(temporaryDirectory(t), "pipe");
  execFileSync("mkfifo", [path]);
  return path;
}

const cases = [
  { name: "a URL that does not answer", source: silentUrl, workers: 1, on_failure: "refuse" },
  { name: "a URL that does not answer", source: silentUrl, workers: 2, on_failure: "allow" },
  { name: "a named pipe", source: namedPipe, workers: 1, on_failure: "refuse" },
  { name: "a named pipe", source: namedPipe, workers: 2, on_failure: "allow" },
] as const;

for (const { name, source, workers, on_failure } of cases) {
  test(`a list from ${name}: ${workers} worker(s)`, { timeout: 60_000 }, async (t) => {
    const file = join(temporaryDirectory(t), "chihaya.yaml");
    const options = { whitelist_from: [await source(t)], on_failure };
    writeFileSync(file, toYaml({ workers, prehooks: [{ name: "torrent approval", options }] }));
    const tracker = new Program(t, process.execPath, [main, "--json", "--config", file]);
    await tracker.until(({ url }) => url?.startsWith("udp:") === true);
    const reason = name.startsWith("a URL") ? "no list within 5 s" : "is a named pipe, not a file";
    const isSaid = ({ msg }: { msg: string }) =>
      msg.includes(reason) && msg.includes(`on_failure (${on_failure}) applies`);
    assert.ok(tracker.lines.some(isSaid), tracker.stderr);
    tracker.child.kill("SIGTERM");
    assert.deepEqual(await tracker.ended, { code: 0, signal: null });
  });
}

test("keys from a URL that does not answer", { timeout: 60_000 }, async (t) => {
  const file = join(temporaryDirectory(t), "chihaya.yaml");
  const options = { issuer: "i", audience: "a", jwk_set_url: await silentUrl(t) };
  writeFileSync(file, toYaml({ prehooks: [{ name: "jwt", options }] }));
  const tracker = new Program(t, process.execPath, [main, "--json", "--config", file]);
  await tracker.until(({ url }) => url?.startsWith("udp:") === true);
});

for (const [what, settings, code, says] of [
  [
    "a list",
    (pipe: string) => hook("torrent approval", { whitelist_from: [pipe] }),
    0,
    /warning: .*is a named pipe/,
  ],
  [
    "keys",
    (pipe: string) => hook("jwt", { issuer: "i", audience: "a", jwk_set_file: pipe }),
    78,
    /named pipe/,
  ],
  ["a database", (pipe: string) => hook("locality", { levels: [{ asn: pipe }] }), 78, /named pipe/],
  [
    "a certificate",
    (pipe: string) => ({ http: { https_addr: "127.0.0.1:0", tls_cert_path: pipe, tls_key_path: pipe } }),
    78,
    /named pipe, and its writer did not finish/,
  ],
] as const) {
  test(`check-config comes to an end: ${what} from a named pipe`, { timeout: 60_000 }, async (t) => {
    const file = join(temporaryDirectory(t), "chihaya.yaml");
    writeFileSync(file, toYaml(settings(namedPipe(t))));
    const command = new Program(t, process.execPath, [main, "check-config", file]);
    assert.deepEqual(await command.ended, { code, signal: null });
    assert.match(command.stdout, says);
  });
}

function hook(name: string, options: object): DaemonSettings {
  return { prehooks: [{ name, options }] };
}
