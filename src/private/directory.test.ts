import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Directory, Torrent, User, UserFlag } from "./directory.ts";
import type { DirectoryGrant, DirectoryGroup, FactorSource } from "./directory-records.ts";
import { packFactors } from "./factors.ts";
import { SharedTable } from "./shared-table.ts";

const passkey = "0123456789abcdef0123456789ABCDEF";
const infoHash = Buffer.alloc(20, 1);
const now = 1_800_000_000;

function words(bytes: Uint8Array | string): Int32Array {
  return new Int32Array(new Uint8Array(Buffer.from(bytes as string, "latin1")).buffer);
}

test("users are found by passkey with their flags and group, torrents by each infohash", () => {
  const directory = Directory.create({ users: 2, torrents: 2 });
  directory.putUser({ id: 7, passkey, isEnabled: true, canLeech: false, isHidden: true, group: 3 });
  const { users, torrents } = new Directory(directory.memory);
  assert.ok(users.find(words(passkey), 0));
  assert.equal(users.values[User.id], 7);
  assert.equal(users.values[User.flags], UserFlag.enabled | UserFlag.hidden);
  assert.equal(users.values[User.group], 3);
  assert.ok(!users.find(words(passkey.toLowerCase()), 0), "case counts");
  directory.removePasskey(passkey);
  assert.ok(!users.find(words(passkey), 0));
  const [v1, v2] = [Buffer.alloc(20, 1), Buffer.alloc(20, 2)];
  directory.putTorrent({ id: 4_000_000_000, infoHashes: [v1, v2], up: 200, down: 0, refusal: 2 });
  for (const infoHash of [v1, v2]) {
    assert.ok(torrents.find(words(infoHash), 0));
    assert.equal(torrents.values[Torrent.id]! >>> 0, 4_000_000_000, "both infohashes are one torrent");
    assert.equal(torrents.values[Torrent.refusal], 2);
  }
  directory.removeInfoHash(v2);
  assert.ok(!torrents.find(words(v2), 0));
});

interface Sources {
  torrent?: FactorSource;
  group?: Omit<DirectoryGroup, "id">;
  grants?: DirectoryGrant[];
}

/** Returns the factors of user 7 of group 3 for torrent 9. */
function factorsOf({ torrent = {}, group, grants = [] }: Sources, seconds = now) {
  const directory = Directory.create({ users: 1, torrents: 1 });
  directory.putUser({ id: 7, passkey, isEnabled: true, canLeech: true, isHidden: false, group: 3 });
  directory.putTorrent({ id: 9, infoHashes: [infoHash], up: 100, down: 100, ...torrent });
  if (group !== undefined) directory.setGroups([{ id: 3, ...group }]);
  for (const grant of grants) directory.putGrant(grant);
  const reader = new Directory(directory.memory);
  assert.ok(reader.users.find(words(passkey), 0) && reader.torrents.find(words(infoHash), 0));
  return [reader.factors(seconds), reader.isToken];
}

describe("factors", () => {
  const table: [string, Sources, up: number, down: number, isToken?: boolean][] = [
    ["of a torrent without others", { torrent: { up: 50, down: 150 } }, 50, 150],
    ["freeleech of a torrent", { torrent: { down: 0 } }, 100, 0],
    ["double upload of a group", { group: { up: 200 } }, 200, 100],
    [
      "the highest upload and the lowest download",
      { torrent: { up: 150, down: 50 }, group: { up: 120, down: 80 } },
      150,
      50,
    ],
    ["global freeleech", { grants: [{ user: 0, torrent: 0, down: 0 }] }, 100, 0],
    ["of one user", { grants: [{ user: 7, torrent: 0, up: 300 }] }, 300, 100],
    ["of another user", { grants: [{ user: 8, torrent: 0, up: 300 }] }, 100, 100],
    ["of everybody for one torrent", { grants: [{ user: 0, torrent: 9, down: 25 }] }, 100, 25],
    ["of a token", { grants: [{ user: 7, torrent: 9, down: 0 }] }, 100, 0, true],
    ["of a token for another torrent", { grants: [{ user: 7, torrent: 10, down: 0 }] }, 100, 100],
    [
      "neutral wins over double upload",
      { torrent: { up: 0, down: 0 }, grants: [{ user: 7, torrent: 0, up: 200 }] },
      0,
      0,
    ],
    [
      "a neutral group wins over a token",
      { group: { up: 0, down: 0 }, grants: [{ user: 7, torrent: 9, up: 200 }] },
      0,
      0,
      true,
    ],
    [
      "no upload from one and no download from another is not neutral",
      { torrent: { up: 0 }, group: { down: 0 } },
      0,
      0,
    ],
    ["a torrent that ends now", { torrent: { up: 200, down: 0, until: now } }, 100, 100],
    ["a torrent that ends after 2106", { torrent: { up: 200, down: 0, until: 2 ** 32 + 1 } }, 200, 0],
    ["a torrent that ended before 1970", { torrent: { up: 200, down: 0, until: -1 } }, 100, 100],
    [
      "a grant that ends after 2106",
      { grants: [{ user: 7, torrent: 0, up: 200, until: 2 ** 33 + 1 }] },
      200,
      100,
    ],
    ["a torrent that ends in a second", { torrent: { up: 200, down: 0, until: now + 1 } }, 200, 0],
    ["a group that has ended", { group: { up: 200, until: now - 5 } }, 100, 100],
    ["a token that has ended", { grants: [{ user: 7, torrent: 9, down: 0, until: now }] }, 100, 100],
    [
      "a global grant with an end beyond 2038",
      { grants: [{ user: 0, torrent: 0, down: 0, until: 4_000_000_000 }] },
      100,
      0,
    ],
  ];
  for (const [name, sources, up, down, isToken = false] of table) {
    test(name, () => assert.deepEqual(factorsOf(sources), [packFactors({ up, down }), isToken]));
  }
});

test("groups are replaced as a whole, and have download slots", () => {
  const directory = Directory.create({ users: 1, torrents: 1 });
  directory.setGroups([{ id: 1, slots: 0 }, { id: 2, slots: 5 }, { id: 3 }]);
  const slots = () => [0, 1, 2, 3, 4].map((id) => directory.slotsOf(id));
  const none = Number.POSITIVE_INFINITY;
  assert.deepEqual(slots(), [none, 0, 5, none, none]);
  directory.setGroups([{ id: 2, slots: 6 }]);
  assert.deepEqual(slots(), [none, none, 6, none, none]);
});

describe("clients", () => {
  const rule = (text: string) => ({ prefix: Buffer.from(text.slice(1)), isAllowed: text[0] === "+" });
  const table: [string, string[], string, boolean][] = [
    ["no rules", [], "-qB4500-abcdefghijkl", true],
    ["denied", ["--XL"], "-XL0012-abcdefghijkl", false],
    ["not denied", ["--XL"], "-qB4500-abcdefghijkl", true],
    ["allowed", ["+-qB4"], "-qB4500-abcdefghijkl", true],
    ["not allowed", ["+-qB4"], "-qB3500-abcdefghijkl", false],
    ["a longer prefix denies a version", ["+-qB4", "--qB45"], "-qB4500-abcdefghijkl", false],
    ["a longer prefix allows a version", ["--qB", "+-qB4500-"], "-qB4500-abcdefghijkl", true],
    ["a whole peer id", ["--qB4500-abcdefghijkl"], "-qB4500-abcdefghijkl", false],
    ["case counts", ["--qb"], "-qB4500-abcdefghijkl", true],
    ["a zero byte is not the end of a prefix", ["--q\0"], "-qB4500-abcdefghijkl", true],
  ];
  for (const [name, rules, peerId, isAllowed] of table) {
    test(name, () => {
      const directory = Directory.create({ users: 1, torrents: 1 });
      if (rules.length > 0) directory.setClients(rules.map(rule));
      assert.equal(new Directory(directory.memory).allowsClient(Buffer.from(peerId)), isAllowed);
    });
  }

  test("rules are replaced as a whole", () => {
    const directory = Directory.create({ users: 1, torrents: 1 });
    directory.setClients([rule("+-qB"), rule("+-TR")]);
    directory.setClients([rule("+-TR")]);
    const allows = (id: string) => directory.allowsClient(Buffer.from(`${id}0000-abcdefghijkl`));
    assert.deepEqual([allows("-qB"), allows("-TR")], [false, true]);
    directory.setClients([]);
    assert.deepEqual([allows("-qB"), allows("-TR")], [true, true]);
  });
});

test("a user and a torrent that a change replaces are there all the time", (t) => {
  const directory = Directory.create({ users: 2, torrents: 2 });
  const user = { id: 7, passkey, isEnabled: true, canLeech: true, isHidden: false };
  const torrent = { id: 9, infoHashes: [infoHash], up: 100, down: 100 };
  directory.putUser(user);
  directory.putTorrent(torrent);
  const worker = new Directory(directory.memory);
  let writes = 0;
  for (const method of ["put", "remove"] as const) {
    const write = SharedTable.prototype[method] as (...args: unknown[]) => boolean;
    t.mock.method(SharedTable.prototype, method, function (this: SharedTable, ...args: unknown[]) {
      const result = write.apply(this, args);
      assert.ok(worker.users.find(words(passkey), 0) && worker.torrents.find(words(infoHash), 0));
      writes++;
      return result;
    });
  }
  const users = [{ ...user, isHidden: true }];
  directory.apply({
    ...{ passkeys: [passkey], infoHashes: [infoHash] },
    ...{ users, torrents: [{ ...torrent, refusal: 1 }] },
  });
  assert.equal(writes, 2);
  assert.equal(worker.users.values[User.flags]! & UserFlag.hidden, UserFlag.hidden);
  assert.equal(worker.torrents.values[Torrent.refusal], 1);
});

test("a change takes records away, and adds others", () => {
  const directory = Directory.create({ users: 2, torrents: 2 });
  const user = { id: 7, passkey, isEnabled: true, canLeech: true, isHidden: false };
  directory.putUser(user);
  directory.putGrant({ user: 7, torrent: 0, up: 200 });
  const next = "f".repeat(32);
  assert.ok(
    directory.apply({
      ...{ passkeys: [passkey], infoHashes: [], users: [{ ...user, passkey: next }] },
      torrents: [{ id: 9, infoHashes: [infoHash], up: 100, down: 100 }],
      grants: [{ user: 7, torrent: 0, isRemoved: true }],
    }),
  );
  assert.ok(!directory.users.find(words(passkey), 0));
  assert.ok(directory.users.find(words(next), 0) && directory.torrents.find(words(infoHash), 0));
  assert.equal(directory.factors(now), packFactors({ up: 100, down: 100 }));
});
