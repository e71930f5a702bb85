import assert from "node:assert/strict";
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { registerHooks } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { writeMmdb } from "../../../test/support/write-mmdb.ts";
import { Address } from "../../ip/address.ts";
import { createRandom } from "../../lib/clock.ts";
import type { SharedState } from "../../middleware/shared-state.ts";
import { silentLogger } from "../../observability/logger.ts";
import { Metrics } from "../../observability/metrics.ts";
import { createSharedState, LocalHub } from "../../tracker/share-hub.ts";
import { createLocality } from "./create-locality.ts";
import { DatabaseLevel } from "./database-level.ts";
import type { MmdbField } from "./read-mmdb.ts";

function setUp(t: TestContext, content: Uint8Array) {
  const directory = mkdtempSync(join(tmpdir(), "chihaya-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const file = join(directory, "a.mmdb");
  /** As those who update databases do it: another file in its place. */
  const write = (bytes: Uint8Array) => {
    writeFileSync(`${file}.new`, bytes);
    renameSync(`${file}.new`, file);
  };
  write(content);
  const clock = { seconds: 1000, unixSeconds: 0 };
  const parts = { clock, random: createRandom(1), owner: 1 };
  const shared = createSharedState(new LocalHub(parts), "locality", parts);
  const lines: string[] = [];
  const log = (_: object, message: string) => void lines.push(message);
  const logger = { debug: log, info: log, warn: log, error: log };
  const create = (by: MmdbField = "asn", state: SharedState = shared) =>
    new DatabaseLevel("as", 0, { file, by }, { shared: state, logger });
  return { file, write, create, lines, others: { ...shared, isFirst: false } };
}

/** The neighbourhoods of addresses, numbered as they come; 0 for none. */
function neighbourhoods(level: DatabaseLevel, addresses: readonly string[]): number[] {
  const seen: string[] = [];
  return addresses.map((text) => {
    if (!level.enter(Address.parse(text))) return 0;
    const key = level.key.join();
    if (!seen.includes(key)) seen.push(key);
    return seen.indexOf(key) + 1;
  });
}

const asn = (number: number) => ({ autonomous_system_number: number });
const country = (iso_code: string) => ({ country: { iso_code }, city: "Somewhere" });

for (const recordSize of [24, 28, 32] as const) {
  test(`neighbours share their autonomous system, in both families, records of ${recordSize} bits`, async (t) => {
    const networks = {
      ...{ "0.0.0.0/8": asn(1), "10.1.0.0/16": asn(64_500), "10.2.3.0/24": asn(64_501) },
      ...{ "10.9.0.0/16": asn(64_500), "10.2.4.0/24": { organization: "nameless" } },
      ...{ "2001:db8::/32": asn(64_500), "2001:db9::/48": asn(4_200_000_000), "fd00::/8": asn(7) },
      "255.255.255.0/24": asn(9),
    };
    const { create } = setUp(t, writeMmdb(networks, { recordSize, alias: true }));
    const level = create();
    await level.start();
    const addresses = [
      ...["10.1.0.0", "10.1.255.255", "10.9.0.1", "2001:db8:ffff::1", "10.2.3.77", "2001:db9::1", "fdff::1"],
      ...["10.2.4.1", "10.3.0.0", "2001:db9:1::", "::ffff:ffff", "2002:a01::1", "0.1.2.3", "255.255.255.255"],
    ];
    assert.deepEqual(neighbourhoods(level, addresses), [1, 1, 1, 1, 2, 3, 4, 0, 0, 0, 0, 0, 5, 6]);
    level.enter(Address.parse("10.1.0.1"));
    assert.ok(level.has(Address.parse("2001:db8::1")));
    assert.ok(!level.has(Address.parse("10.2.3.1")));
    assert.ok(!level.has(Address.parse("10.3.0.1")));
  });
}

test("databases name what they have differently", async (t) => {
  const records = {
    ...{ "10.1.0.0/16": country("DE"), "10.2.0.0/16": { country_code: "DE", country: "Germany" } },
    ...{ "10.3.0.0/16": { country: "de" }, "10.4.0.0/16": country("AT"), "10.5.0.0/16": { asn: "AS64500" } },
    ...{ "10.6.0.0/16": { asn: 64_500 }, "10.7.0.0/16": { country: "Germany" } },
  };
  const { create } = setUp(t, writeMmdb(records, { ipVersion: 4 }));
  const addresses = [1, 2, 3, 4, 5, 6, 7].map((second) => `10.${second}.0.1`);
  for (const [field, expected] of [
    ["country", [1, 1, 1, 2, 0, 0, 0]],
    ["asn", [0, 0, 0, 0, 1, 1, 0]],
  ] as const) {
    const level = create(field);
    await level.start();
    assert.deepEqual(neighbourhoods(level, [...addresses, "2001:db8::1"]), [...expected, 0]);
  }
});

test("the first worker reads for all; a reload takes a file that has changed, and keeps what there is on failure", async (t) => {
  const { create, write, lines, others, file } = setUp(t, writeMmdb({ "10.1.0.0/16": asn(1) }));
  const has = (level: DatabaseLevel) => neighbourhoods(level, ["10.1.0.1", "10.2.0.1"]);
  const [other, first] = [create("asn", others), create()];
  await other.start();
  assert.deepEqual(has(other), [0, 0], "nothing has been read");
  await first.start();
  assert.deepEqual(
    [has(first), has(other)],
    [
      [1, 0],
      [1, 0],
    ],
  );

  await create().start();
  assert.deepEqual(lines, ["database read"], "the same file is not read again");
  first.stop();
  write(writeMmdb({ "10.1.0.0/16": asn(1), "10.2.0.0/16": asn(2) }));
  const second = create();
  await second.start();
  assert.deepEqual(
    [has(second), has(other), has(first)],
    [
      [1, 2],
      [1, 2],
      [1, 0],
    ],
  );

  for (const broken of [Buffer.from("nothing"), writeMmdb({ "10.1.0.0/16": asn(1) }).subarray(300)]) {
    lines.length = 0;
    write(broken);
    const third = create();
    await third.start();
    assert.deepEqual(
      [has(third), has(other)],
      [
        [1, 2],
        [1, 2],
      ],
    );
    assert.equal(lines.length, 1, `${lines}`);
    assert.ok(
      lines[0]!.startsWith(`${file}: `) && lines[0]!.endsWith("; the previous networks stay in use"),
      lines[0],
    );
  }
  await assert.rejects(create("country").start(), "those of another field are not taken");
});

test("an error names the problem of a file", async (t) => {
  const { create, file } = setUp(t, writeMmdb({ "10.1.0.0/16": country("DE") }));
  await assert.rejects(create().start(), { message: `${file}: a database of the type Test without "asn"` });
  rmSync(file);
  await assert.rejects(create().start(), /^Error: cannot read \/.*a\.mmdb: no such file$/);
});

test("a hook of which one database cannot be read leaves nothing behind", async (t) => {
  const { file } = setUp(t, writeMmdb({ "10.1.0.0/16": asn(1) }));
  const clock = { seconds: 1000, unixSeconds: 0 };
  const parts = { clock, random: createRandom(1), owner: 1 };
  const shared = createSharedState(new LocalHub(parts), "locality", parts);
  const subscriptions = new Set<string>();
  const counted: SharedState = {
    ...shared,
    subscribe(topic, listener) {
      subscriptions.add(topic);
      const unsubscribe = shared.subscribe(topic, listener);
      return () => {
        subscriptions.delete(topic);
        unsubscribe();
      };
    },
  };
  const hook = await createLocality(
    {
      levels: [
        { name: "as", asn: file },
        { name: "country", country: `${file}.missing` },
      ],
      ...{ remoteQuota: 0.2, order: "near-first", maxPeers: 100 },
    },
    { peerLifetime: 60, gcInterval: 60 },
    { metrics: new Metrics(), shared: counted, logger: silentLogger },
  );
  await assert.rejects(async () => hook.start!(), /no such file/);
  assert.deepEqual([...subscriptions], []);
});

test("a hook shows its store from its start to its stop", async () => {
  const clock = { seconds: 1000, unixSeconds: 0 };
  const parts = { clock, random: createRandom(1), owner: 1 };
  const shared = createSharedState(new LocalHub(parts), "locality", parts);
  const metrics = new Metrics();
  const hook = await createLocality(
    {
      levels: [{ name: "rack", ipv4: 24, ipv6: 64 }],
      ...{ remoteQuota: 0.2, order: "near-first", maxPeers: 100 },
    },
    { peerLifetime: 60, gcInterval: 60 },
    { metrics, shared, logger: silentLogger },
  );
  const shown = () =>
    metrics.snapshot().flatMap(({ name, series }) => (/stored|refused/.test(name) ? series : []));
  assert.deepEqual(shown(), []);
  await hook.start!();
  assert.equal(shown().length, 2);
  await hook.stop!();
  assert.deepEqual(shown(), []);
});

test("without mmdb-lib it is said what to install", async (t) => {
  const { create } = setUp(t, writeMmdb({ "10.1.0.0/16": asn(1) }));
  const hooks = registerHooks({
    resolve(specifier, context, next) {
      if (specifier === "mmdb-lib") throw new Error("not found");
      return next(specifier, context);
    },
  });
  t.after(() => hooks.deregister());
  await assert.rejects(create().start(), {
    message: /^the level "asn" needs the package "mmdb-lib": install it with "npm ci /,
  });
});
