import assert from "node:assert/strict";
import { test } from "node:test";
import { bindAll } from "./bind-all.ts";
import { bindError } from "./bind-error.ts";

const at = (text: string) => {
  const [host = "", port = "1"] = text.split(" ");
  return { host, port: Number(port) };
};

/** Binds what `failures` does not name by its host; tells what was bound, closed and left out. */
async function run(addresses: string[], failures: Record<string, string>) {
  const closed: string[] = [];
  const missing: string[] = [];
  const outcome = await bindAll(
    addresses.map(at),
    async ({ host, port }) => {
      const code = failures[host];
      if (code !== undefined) throw bindError("udp", host, port, Object.assign(new Error(code), { code }));
      return host;
    },
    async (host) => void closed.push(host),
    (error) => missing.push(error.message),
  ).catch((error: Error) => error.message);
  return { outcome, closed, missing };
}

test("without IPv6 the wildcard of both families becomes that of IPv4, with a report", async () => {
  for (const code of ["EAFNOSUPPORT", "EADDRNOTAVAIL"]) {
    for (const addresses of [
      ["0.0.0.0", "::"],
      ["::", "0.0.0.0"],
      ["127.0.0.1", "::", "192.0.2.1"],
    ]) {
      const { outcome, closed, missing } = await run(addresses, { "::": code });
      assert.deepEqual(
        outcome,
        addresses.filter((host) => host !== "::"),
      );
      assert.deepEqual(closed, []);
      assert.equal(missing.length, 1);
      assert.match(missing[0]!, /^cannot listen on udp:\/\/\[::\]:1: /);
    }
  }
});

test("everything else that cannot be bound is an error, and what was bound is closed", async () => {
  const rows: [addresses: string[], failures: Record<string, string>, failed: string, closed: string[]][] = [
    [["::"], { "::": "EAFNOSUPPORT" }, "[::]:1", []],
    [["0.0.0.0", "::"], { "::": "EADDRINUSE" }, "[::]:1", ["0.0.0.0"]],
    [["0.0.0.0 1", ":: 2"], { "::": "EAFNOSUPPORT" }, "[::]:2", ["0.0.0.0"]],
    [["0.0.0.0", "::1"], { "::1": "EADDRNOTAVAIL" }, "[::1]:1", ["0.0.0.0"]],
    [["0.0.0.0", "::"], { "0.0.0.0": "EADDRNOTAVAIL" }, "0.0.0.0:1", []],
    [["::", "0.0.0.0"], { "::": "EAFNOSUPPORT", "0.0.0.0": "EACCES" }, "0.0.0.0:1", []],
    [
      ["0.0.0.0", "::", "192.0.2.1"],
      { "::": "EAFNOSUPPORT", "192.0.2.1": "EADDRNOTAVAIL" },
      "192.0.2.1:1",
      ["0.0.0.0"],
    ],
  ];
  for (const [addresses, failures, failed, expected] of rows) {
    const { outcome, closed, missing } = await run(addresses, failures);
    assert.ok(
      typeof outcome === "string" && outcome.startsWith(`cannot listen on udp://${failed}: `),
      `${outcome}`,
    );
    assert.deepEqual(closed, expected);
    assert.deepEqual(missing, [], "a start that fails reports no missing family");
  }
});
