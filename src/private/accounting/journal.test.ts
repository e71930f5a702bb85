import assert from "node:assert/strict";
import {
  appendFileSync,
  closeSync,
  copyFileSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryDirectory } from "../../../test/support/daemon.ts";
import { failHalfWrites, failOpens, failSyncs, failWrites } from "../../../test/support/failing-disk.ts";
import { Field, Records, recordBytes, recordWords } from "../record.ts";
import { Journal } from "./journal.ts";

const open = (directory: string, segmentBytes = 1e6, keep = 0) =>
  new Journal({ directory, segmentBytes, keep });

/** Appends one block with records of these users. */
function append(journal: Journal, ...users: number[]): number {
  const records = new Records(new ArrayBuffer(users.length * recordBytes), 0, users.length);
  for (const [i, user] of users.entries()) records.words[i * recordWords + Field.user] = user;
  return journal.write(records, users.length);
}

function usersOf(journal: Journal, after: number): number[] {
  return [...journal.read(after)].flatMap(({ records, count }) =>
    Array.from({ length: count }, (_, i) => records.words[i * recordWords + Field.user]!),
  );
}

const segments = (directory: string) =>
  readdirSync(directory)
    .filter((name) => name.endsWith(".journal"))
    .sort();

test("records are numbered, and read from any of them on, also after it was opened again", (t) => {
  const directory = temporaryDirectory(t);
  const journal = open(directory, 300);
  assert.deepEqual([append(journal, 10, 11), append(journal, 12), append(journal, 13, 14)], [1, 3, 4]);
  const { instance } = journal;
  for (let after = 0; after <= 5; after++)
    assert.deepEqual(usersOf(journal, after), [10, 11, 12, 13, 14].slice(after));
  journal.close();
  assert.equal(segments(directory).length, 2);
  const again = open(directory, 300);
  t.after(() => again.close());
  assert.deepEqual([again.instance, again.last], [instance, 5]);
  assert.equal(append(again, 15), 6);
  assert.deepEqual(usersOf(again, 3), [13, 14, 15]);
});

test("a block that was not written whole is cut off, wherever it ends", (t) => {
  const directory = temporaryDirectory(t);
  const journal = open(directory);
  append(journal, 1, 2);
  journal.close();
  const file = join(directory, segments(directory)[0]!);
  const whole = statSync(file).size;
  const next = open(directory);
  append(next, 3);
  next.close();
  const both = statSync(file).size;
  for (let size = both - 1; size >= whole; size -= 7) {
    truncateSync(file, size);
    const cut = open(directory);
    assert.deepEqual([cut.last, usersOf(cut, 0)], [2, [1, 2]]);
    assert.equal(append(cut, 4), 3);
    assert.deepEqual(usersOf(cut, 0), [1, 2, 4]);
    cut.close();
  }
  appendFileSync(file, Buffer.alloc(500, 0xff));
  const noise = open(directory);
  t.after(() => noise.close());
  assert.deepEqual(usersOf(noise, 0), [1, 2, 4]);
});

test("a damaged block before the last segment is an error that names the place", (t) => {
  const directory = temporaryDirectory(t);
  const journal = open(directory, 1);
  append(journal, 1);
  append(journal, 2);
  journal.close();
  const [first] = segments(directory);
  writeFileSync(join(directory, first!), Buffer.alloc(10));
  const damaged = open(directory, 1);
  t.after(() => damaged.close());
  assert.throws(() => usersOf(damaged, 0), /0000000000000001\.journal: damaged at byte 0/);
  assert.deepEqual(usersOf(damaged, 1), [2]);
});

test("a block that the disk does not take leaves no trace, and can be written again", (t) => {
  const directory = temporaryDirectory(t);
  const journal = open(directory, 300);
  append(journal, 1);
  for (const fail of [failWrites, failHalfWrites, failSyncs, failOpens]) {
    const before = journal.last;
    const mend = fail(t);
    assert.throws(() => append(journal, 2, 3), /ENOSPC/);
    assert.throws(() => append(journal, 2, 3), /ENOSPC/, "also the second time");
    mend();
    assert.equal(journal.last, before);
    assert.equal(append(journal, 2, 3), before + 1);
  }
  const expected = [1, 2, 3, 2, 3, 2, 3, 2, 3];
  assert.deepEqual(usersOf(journal, 0), expected);
  journal.close();
  const again = open(directory, 300);
  t.after(() => again.close());
  assert.deepEqual(usersOf(again, 0), expected);
});

test("blocks before the needed record are skipped by their heads", (t) => {
  const directory = temporaryDirectory(t);
  const journal = open(directory);
  t.after(() => journal.close());
  append(journal, 1, 2);
  append(journal, 3);
  const file = join(directory, segments(directory)[0]!);
  const fd = openSync(file, "r+");
  writeSync(fd, Buffer.alloc(1, 9), 0, 1, 100); // in the records of the first block
  closeSync(fd);
  assert.deepEqual(usersOf(journal, 2), [3]);
  assert.throws(() => usersOf(journal, 1), /damaged at byte 0/);
});

test("a file is read by lines, whatever its size, and not at all without it", (t) => {
  const directory = temporaryDirectory(t);
  const journal = open(directory);
  t.after(() => journal.close());
  const lines = Array.from({ length: 5000 }, (_, n) => `${"é".repeat(n % 61)}${n}`);
  journal.writeFile(
    "lines",
    lines.map((line) => `${line}\n`),
  );
  assert.deepEqual([...journal.readLines("lines")], lines);
  assert.deepEqual([...journal.readLines("none")], []);
});

test("a directory that cannot be written is not said to be in use", (t) => {
  const directory = temporaryDirectory(t);
  mkdirSync(join(directory, "lock"));
  assert.throws(() => open(directory), {
    message: `${directory} cannot be written: unable to open database file`,
  });
});

test("segments go when nobody needs them, and their time to be kept is over", (t) => {
  const directory = temporaryDirectory(t);
  const journal = open(directory, 1, 60);
  t.after(() => journal.close());
  for (const user of [1, 2, 3, 4]) append(journal, user);
  for (const name of segments(directory)) utimesSync(join(directory, name), 1000, 1000);
  journal.prune(4, 1059);
  assert.equal(segments(directory).length, 4, "too young");
  journal.prune(2, 1060);
  assert.deepEqual([segments(directory).length, journal.first], [2, 3]);
  assert.deepEqual(usersOf(journal, 2), [3, 4]);
  assert.throws(() => usersOf(journal, 1), /begins with record 3, but record 2 is needed/);
  journal.prune(4, 1060);
  assert.equal(segments(directory).length, 1, "the last one stays");
});

test("one journal is open once", (t) => {
  const directory = temporaryDirectory(t);
  const journal = open(directory);
  assert.throws(() => open(directory), /in use by another tracker/);
  journal.close();
  open(directory).close();
});

test("a missing or damaged instance is an error that names the file", (t) => {
  const directory = temporaryDirectory(t);
  const journal = open(directory);
  append(journal, 1);
  journal.close();
  writeFileSync(join(directory, "instance"), "x");
  assert.throws(() => open(directory), /instance is damaged/);
  rmSync(join(directory, "instance"));
  assert.throws(() => open(directory), /instance is missing/);
});

test("records are not written where the next start does not find them", (t) => {
  const parent = temporaryDirectory(t);
  const [directory, elsewhere] = [join(parent, "journal"), join(parent, "elsewhere")];
  const journal = open(directory, 1);
  t.after(() => journal.close());
  const remedy = /the file was removed, replaced or cut; move the same file back/;
  const assertRefused = (reason: string) => {
    const before = journal.last;
    assert.throws(() => append(journal, 9), remedy, reason);
    assert.equal(journal.last, before);
  };
  const moveAway = () => {
    renameSync(directory, elsewhere);
    assertRefused("the directory is away");
    mkdirSync(directory);
    assertRefused("another directory is in its place");
    rmSync(directory, { recursive: true });
    renameSync(elsewhere, directory);
  };
  moveAway(); // before the first record
  append(journal, 1);
  moveAway();
  append(journal, 2); // in a new segment
  const file = join(directory, segments(directory).at(-1)!);
  renameSync(file, `${file}.away`);
  assertRefused("the file is away");
  copyFileSync(`${file}.away`, file);
  assertRefused("a copy is in its place");
  renameSync(`${file}.away`, file);
  const whole = readFileSync(file);
  truncateSync(file);
  assertRefused("the file is empty");
  writeFileSync(file, whole);
  append(journal, 3);
  assert.deepEqual(usersOf(journal, 0), [1, 2, 3]);
});
