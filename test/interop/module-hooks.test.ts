/** Hooks of one's own in a tracker as its users run it: with one worker, and with two that share what a hook shares. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { announce } from "../../src/client/tracker-client.ts";
import { announceQuery, infoHashHex, RawClient } from "../fixtures/http-server.ts";
import { Daemon, main, Program, temporaryDirectory, toYaml } from "../support/daemon.ts";

const module = join(import.meta.dirname, "../fixtures/probe-hook.ts");

/** What the probe says of itself. */
interface Told {
  greeting: string;
  threadId: number;
  /** Announces that the probes of all workers have seen. */
  total: number;
  lastWord: string;
}

/** Announces on a connection of its own, so that any worker may get it. */
async function ask(t: TestContext, daemon: Daemon, query = ""): Promise<string> {
  const client = new RawClient(t, daemon.port("http"));
  const { body } = await client.get(`/announce?${announceQuery()}&${query}`);
  client.socket.destroy();
  return body;
}

async function tell(t: TestContext, daemon: Daemon, query = ""): Promise<Told> {
  const body = await ask(t, daemon, query);
  return JSON.parse(/15:warning message\d+:({.*})e$/.exec(body)?.[1] ?? assert.fail(body));
}

/** Asks until each of so many workers has answered as it should. */
async function askAll(
  t: TestContext,
  daemon: Daemon,
  workers: number,
  isIt: (told: Told) => boolean = () => true,
): Promise<Map<number, Told>> {
  const told = new Map<number, Told>();
  for (let tries = 0; told.size < workers; tries++) {
    assert.ok(tries < 2000, `only ${told.size} answered so`);
    const one = await tell(t, daemon);
    if (isIt(one)) told.set(one.threadId, one);
  }
  return told;
}

async function metric(daemon: Daemon, line: RegExp): Promise<number> {
  const text = await (await fetch(`${daemon.url("metrics")}/metrics`)).text();
  return Number(line.exec(text)?.[1] ?? Number.NaN);
}

const probe = (options: Record<string, unknown> = {}, more = {}) => ({ module, options, ...more });

for (const workers of [1, 2]) {
  const start = (t: TestContext, hooks: Record<string, unknown>) =>
    Daemon.start(t, hooks, "--set", `workers=${workers}`);

  describe(`hooks from modules with ${workers === 1 ? "one worker" : "two workers"}`, () => {
    test("share memory, topics and counters", async (t) => {
      const posthook = probe({ counter: "probe_after_total" });
      const daemon = await start(t, { prehooks: [probe()], posthooks: [posthook] });
      await askAll(t, daemon, workers);
      const { total } = await tell(t, daemon, "do=publish&word=brick");
      await askAll(t, daemon, workers, ({ lastWord }) => lastWord === "brick");
      const last = await tell(t, daemon);
      assert.ok(last.total > total);
      assert.equal(await metric(daemon, /^probe_announces_total (\d+)$/m), last.total);
      assert.equal(await metric(daemon, /^probe_after_total (\d+)$/m), last.total);
    });

    test("refuse at once or later over both protocols, and a failure is theirs alone", async (t) => {
      const daemon = await start(t, { prehooks: [probe({}, { timeout: "20ms" })] });
      const answer = (scheme: "http" | "udp", what: string) =>
        announce(`${daemon.url(scheme)}/announce?do=${what}`, {
          infoHash: Buffer.from(infoHashHex, "hex"),
          peerId: new Uint8Array(20),
          port: 6881,
          left: 1n,
        });
      for (const scheme of ["http", "udp"] as const) {
        await assert.rejects(answer(scheme, "refuse+later"), /refused by the probe/);
        await assert.rejects(answer(scheme, "throw"), /internal server error/);
        await assert.rejects(answer(scheme, "hang"), /request timed out/);
        assert.equal((await answer(scheme, "nothing")).incomplete, 1);
      }
      assert.equal(await metric(daemon, /^chihaya_failures_total\{where="probe"\} (\d+)$/m), 2);
      const timeouts = /^chihaya_hook_refusals_total\{hook="probe",reason="timeout"\} (\d+)$/m;
      assert.equal(await metric(daemon, timeouts), 2);
      assert.equal(daemon.lines.find(({ level }) => level === "error")?.msg, "internal error");
    });

    test("take new options with a reload; one that cannot be made refuses it", async (t) => {
      const daemon = await start(t, { prehooks: [probe()] });
      await askAll(t, daemon, workers, ({ greeting }) => greeting === "hello");
      const reloaded = await daemon.reload({ prehooks: [probe({ greeting: "moin" })] });
      assert.equal(reloaded.msg, "configuration reloaded");
      await askAll(t, daemon, workers, ({ greeting }) => greeting === "moin");
      const broken = await daemon.reload({ prehooks: [probe({ greeting: "no", broken: true })] });
      assert.equal(broken.msg, "configuration not reloaded: probe: no such passkey list");
      const wrong = await daemon.reload({ prehooks: [probe({ greeting: 3 })] });
      assert.match(wrong.msg, /^configuration not reloaded: .*expected string/);
      assert.equal(wrong.path, "prehooks[0].options.greeting");
      for (const { greeting } of (await askAll(t, daemon, workers)).values()) assert.equal(greeting, "moin");
    });

    test("that are not ready keep the tracker from being ready", async (t) => {
      const daemon = await start(t, { prehooks: [probe({ ready: "no list yet" })] });
      const readyz = async () => {
        const response = await fetch(`${daemon.url("metrics")}/readyz`);
        return [response.status, (await response.text()).includes("no list yet")];
      };
      assert.deepEqual(await readyz(), [503, true]);
      await daemon.reload({ prehooks: [probe()] });
      assert.deepEqual(await readyz(), [200, false]);
    });

    test("that cannot be made stop the start, with their name and why", async (t) => {
      const file = join(temporaryDirectory(t), "chihaya.yaml");
      writeFileSync(file, toYaml({ prehooks: [probe({ broken: true })], workers }));
      const program = new Program(t, process.execPath, [main, "--json", "--config", file]);
      assert.deepEqual(await program.ended, { code: 1, signal: null });
      assert.equal(program.lines.at(-1)?.msg, "failed to start: probe: no such passkey list");
    });
  });
}

test("a worker that dies of a hook is replaced, and its hook has what they share", async (t) => {
  const daemon = await Daemon.start(t, { prehooks: [probe()] }, "--set", "workers=2");
  await tell(t, daemon, "do=publish&word=brick");
  const before = await askAll(t, daemon, 2, ({ lastWord }) => lastWord === "brick");
  const totals = [...before.values()].map(({ total }) => total);
  await ask(t, daemon, "do=die").catch(() => undefined); // the answer may go with the worker
  await daemon.until(({ msg }) => msg === "a worker died; starting another");
  // The survivor answers thousands of times before its new companion serves.
  while (!(await fetch(`${daemon.url("metrics")}/readyz`)).ok);
  const after = await askAll(t, daemon, 1, ({ threadId }) => !before.has(threadId));
  for (const { lastWord, total } of after.values()) {
    assert.equal(lastWord, "brick");
    assert.ok(total > Math.max(...totals));
  }
});
