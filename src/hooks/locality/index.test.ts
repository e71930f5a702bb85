import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { loadConfig } from "../../config/load.ts";

function load(t: TestContext, options: string) {
  const directory = mkdtempSync(join(tmpdir(), "chihaya-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const file = join(directory, "chihaya.yaml");
  writeFileSync(file, `chihaya:\n  udp: {}\n  prehooks:\n    - name: locality\n      options:\n${options}`);
  return loadConfig({ file, env: {} });
}

test("levels by prefix and by name, with their defaults", (t) => {
  const result = load(
    t,
    `        levels:\n          - ipv4: 24\n          - {name: room, networks: {a: 10.1.0.0/16, b: ["10.2.0.0/16", "fd00::/64"]}}
          - {asn: /dev/null}
          - {name: country, country: /dev/null}\n`,
  );
  assert.ok(result.ok, JSON.stringify(result));
  assert.deepEqual(result.config.preHooks[0], {
    name: "locality",
    options: {
      levels: [
        { ipv4: 24 },
        { name: "room", networks: { a: ["10.1.0.0/16"], b: ["10.2.0.0/16", "fd00::/64"] } },
        { asn: "/dev/null" },
        { name: "country", country: "/dev/null" },
      ],
      remoteQuota: 0.2,
      order: "near-first",
      maxPeers: 2_000_000,
    },
  });
});

test("what is wrong is said at its place", (t) => {
  const result = load(
    t,
    `        remote_quota: 1
        levels:
          - {ipv4: 33, ipv6: 64}
          - {name: room}
          - {ipv4: 8, networks: {a: [10.0.0.0/8]}}
          - networks:
              a: [10.0.0.0/8, 10.1.2.3/8]
          - networks:
              a: [10.0.0.0/8]
              b: [10.0.0.0/8]
          - networks: [10.0.0.0/8]
          - ipv: 4
          - asn: a.mmdb
            country: b.mmdb
`,
  );
  assert.ok(!result.ok);
  const at = "prehooks[0].options";
  assert.deepEqual(
    result.errors.map(({ line, path, message }) => [line, path, message.split(/[;,]/)[0]]),
    [
      [6, `${at}.remote_quota`, "expected a number from 0 to 0.9"],
      [8, `${at}.levels[0].ipv4`, "expected a whole number from 0 to 32"],
      [9, `${at}.levels[1]`, "a level needs ipv4 and ipv6 (lengths of prefixes)"],
      [10, `${at}.levels[2].networks`, "a level has only one of: ipv4 and ipv6"],
      [12, `${at}.levels[3].networks.a[1]`, '"10.1.2.3/8" has bits beyond its prefix'],
      [15, `${at}.levels[4].networks.b[0]`, "10.0.0.0/8 is in a already"],
      [16, `${at}.levels[5].networks`, "expected a mapping of names to lists of networks"],
      [17, `${at}.levels[6].ipv`, "unknown key"],
      [17, `${at}.levels[6]`, "a level needs ipv4 and ipv6 (lengths of prefixes)"],
      [19, `${at}.levels[7].country`, "a level has only one of: ipv4 and ipv6"],
    ],
  );
});

test("there must be a level", (t) => {
  for (const options of ["        remote_quota: 0\n", "        levels: []\n"]) {
    const result = load(t, options);
    assert.ok(!result.ok);
    assert.equal(result.errors.length, 1);
    assert.match(result.errors[0]!.message, /levels?/);
  }
});
