import assert from "node:assert/strict";
import { test } from "node:test";
import { createRandom } from "../lib/clock.ts";
import { Directory, isPasskey, packFactors, SharedTable, UserFlag } from "./directory.ts";

function words(text: string): Int32Array {
  return new Int32Array(new Uint8Array(Buffer.from(text, "latin1")).buffer);
}

test("a table holds what was put last, as a map does", () => {
  const random = createRandom(3);
  const table = SharedTable.create(1, 300);
  const reader = new SharedTable(1, table.memory);
  const model = new Map<number, number>();
  for (let step = 0; step < 20_000; step++) {
    const key = random.next() % 400;
    const words = new Int32Array([key]);
    if (random.next() % 3 === 0) {
      table.remove(words, 0);
      model.delete(key);
    } else {
      assert.ok(table.put(words, 0, step + 1, -step));
      model.set(key, step + 1);
    }
    const other = random.next() % 400;
    assert.equal(reader.find(new Int32Array([other]), 0), model.has(other));
    if (model.has(other))
      assert.deepEqual([reader.first, reader.second], [model.get(other), 1 - model.get(other)!]);
  }
});

test("a table that is three quarters full takes no further key, but changes those that it has", () => {
  const table = SharedTable.create(1, 0);
  let count = 0;
  while (table.put(new Int32Array([count]), 0, 1, 1)) count++;
  assert.equal(count, 768);
  assert.equal(table.put(new Int32Array([5]), 0, 2, 2), true);
  table.remove(new Int32Array([6]), 0);
  assert.equal(table.find(new Int32Array([6]), 0), false);
  let added = 0;
  for (let key = 1000; key < 3000; key++) if (table.put(new Int32Array([key]), 0, 1, 1)) added++;
  assert.ok(added <= 1, "at most the slot of the removed key");
  for (let key = 0; key < count; key++) assert.equal(table.find(new Int32Array([key]), 0), key !== 6);
});

test("a reader does not wait for a writer that died while it wrote", () => {
  const table = SharedTable.create(1, 0);
  table.put(new Int32Array([1]), 0, 1, 1);
  const memory = new Int32Array(table.memory);
  const at = memory.findIndex((word, index) => index > 10 && word === 2 && memory[index + 1] === 1);
  memory[at] = 3;
  assert.equal(table.find(new Int32Array([1]), 0), false);
});

test("users are found by passkey with their flags, torrents by each infohash with their factors", () => {
  const directory = Directory.create(2, 2);
  const passkey = "0123456789abcdef0123456789ABCDEF";
  directory.putUser({ id: 7, passkey, isEnabled: true, canLeech: false, isHidden: true });
  const { users, torrents } = new Directory(directory.memory);
  assert.ok(users.find(words(passkey), 0));
  assert.deepEqual([users.first, users.second], [7, UserFlag.enabled | UserFlag.hidden]);
  assert.ok(!users.find(words(passkey.toLowerCase()), 0), "case counts");
  directory.removePasskey(passkey);
  assert.ok(!users.find(words(passkey), 0));
  const [v1, v2] = [Buffer.alloc(20, 1), Buffer.alloc(20, 2)];
  directory.putTorrent({ id: 4_000_000_000, infoHashes: [v1, v2], up: 200, down: 0 });
  for (const infoHash of [v1, v2]) {
    assert.ok(torrents.find(words(infoHash.toString("latin1")), 0));
    assert.deepEqual([torrents.first >>> 0, torrents.second], [4_000_000_000, packFactors(200, 0)]);
  }
  directory.removeInfoHash(v2);
  assert.ok(!torrents.find(words(v2.toString("latin1")), 0));
});

test("a passkey has 32 letters and digits", () => {
  assert.ok(isPasskey("0123456789abcdefghijKLMNOPQRSTUV"));
  for (const text of ["", "0123456789abcdef", "0123456789abcdef0123456789abcde-", `${"a".repeat(33)}`])
    assert.equal(isPasskey(text), false, text);
});
