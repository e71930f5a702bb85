import assert from "node:assert/strict";
import { test } from "node:test";
import { AnnounceEvent } from "../../bittorrent/event.ts";
import { createRandom } from "../../lib/clock.ts";
import { Field, Records, recordBytes, recordWords } from "../record.ts";
import { Batch, emptyAddition, type Sums } from "./batch.ts";
import { type AccountedAnnounce, Sessions } from "./sessions.ts";

test("the peers of a torrent are counted anew for a snatch of a client that was a seeder already", () => {
  const sessions = new Sessions({ maxRate: 1.25e9, maxGap: 3900, idle: 86_400, active: 6600 });
  const base: AccountedAnnounce = {
    ...{ seconds: 1_800_000_000, user: 1, torrent: 7, peerId: "-XX0001-123456789012" },
    ...{ event: AnnounceEvent.started, uploaded: 0, downloaded: 0, left: 5, isForwarded: false },
  };
  sessions.apply(base);
  sessions.apply({ ...base, seconds: base.seconds + 60, event: AnnounceEvent.none, downloaded: 5, left: 0 });
  const last = { seconds: base.seconds + 120, event: AnnounceEvent.completed, downloaded: 5, left: 0 };
  const addition = sessions.apply({ ...base, ...last });
  assert.equal(addition.isSnatch, true);
  const records = new Records(new ArrayBuffer(recordBytes), 0, 1);
  records.words[Field.user] = base.user;
  records.words[Field.torrent] = base.torrent;
  records.complete(0, addition);
  const batch = new Batch(0);
  batch.add(records, 0);
  assert.equal(batch.snatches.length, 1);
  assert.deepEqual([...batch.recounts], [base.torrent]);
});

test("a batch sums its records by user, torrent and client, in whatever order they come", () => {
  const random = createRandom(31);
  const pick = (count: number) => random.next() % count;
  const batch = new Batch(5);
  const block = new Records(new ArrayBuffer(7 * recordBytes), 0, 7);
  const users = new Map<number, bigint[]>();
  const histories = new Map<string, { sums: bigint[]; seedSeconds: number; seen: number[] }>();
  const peers = new Map<string, { port: number; announces: number }>();
  for (let round = 0; round < 400; round++) {
    const count = 1 + pick(7);
    for (let i = 0; i < count; i++) {
      const [user, torrent, client] = [2 ** 32 - 1 - pick(5), 2 ** 32 - 1 - pick(4), pick(3)];
      const [seconds, port] = [1_800_000_000 + pick(1000), pick(65_536)];
      const [uploaded, downloaded] = [pick(3) * (2 ** 53 - 1), pick(2) * 7].map((n) =>
        Math.min(n, 2 ** 53 - 1),
      );
      const kind = pick(10);
      block.words.fill(0, i * recordWords, (i + 1) * recordWords);
      const at = i * recordWords;
      block.words[at + Field.user] = kind === 9 ? 0 : user;
      block.words[at + Field.torrent] = torrent;
      block.words[at + Field.seconds] = seconds;
      block.words[at + Field.what] = (4 << 8) | (port << 16);
      block.words[at + Field.factors] = 150 | (50 << 16);
      block.bytes.set(Buffer.from(`-XX0001-${`${client}`.repeat(12)}`), 4 * (at + Field.peerId));
      const addition = {
        ...emptyAddition(),
        isDuplicate: kind === 8,
        isLate: kind === 7,
        seedSeconds: pick(9),
      };
      block.complete(i, { ...addition, uploaded: uploaded!, downloaded: downloaded! });
      if (kind >= 8) continue;
      const raw = [BigInt(uploaded!), BigInt(downloaded!)] as const;
      const sums = [...raw, raw[0] * 150n, raw[1] * 50n];
      if (uploaded! + downloaded! > 0)
        users.set(
          user,
          (users.get(user) ?? [0n, 0n, 0n, 0n]).map((sum, n) => sum + sums[n]!),
        );
      const pair = `${user} ${torrent}`;
      const history = histories.get(pair) ?? { sums: [0n, 0n, 0n, 0n], seedSeconds: 0, seen: [] };
      histories.set(pair, history);
      history.sums = history.sums.map((sum, n) => sum + sums[n]!);
      history.seedSeconds += addition.seedSeconds;
      history.seen.push(seconds);
      const key = `${pair} ${client}`;
      if (kind !== 7) peers.set(key, { port, announces: (peers.get(key)?.announces ?? 0) + 1 });
    }
    batch.add(block, 0, count);
  }
  const sumsOf = (sums: Sums) =>
    [sums.rawUploaded, sums.rawDownloaded, sums.creditedUploaded, sums.creditedDownloaded].map(BigInt);
  const byIds = (a: number[], b: number[]) => a[0]! - b[0]! || a[1]! - b[1]! || a[2]! - b[2]!;
  const inOrder = (keys: Iterable<string>) => [...keys].map((key) => key.split(" ").map(Number)).sort(byIds);
  assert.deepEqual(
    batch.users.map((sums) => [sums.user, ...sumsOf(sums)]),
    [...users].sort(([a], [b]) => a - b).map(([user, sums]) => [user, ...sums]),
  );
  assert.deepEqual(
    batch.histories.map(({ user, torrent }) => [user, torrent]),
    inOrder(histories.keys()),
  );
  for (const history of batch.histories) {
    const { sums, seedSeconds, seen } = histories.get(`${history.user} ${history.torrent}`)!;
    assert.deepEqual([...sumsOf(history), history.seedSeconds], [...sums, seedSeconds]);
    assert.deepEqual([history.firstSeen, history.lastSeen], [seen[0], Math.max(...seen)]);
    assert.equal(history.isActive, true);
  }
  assert.deepEqual(
    batch.peers.map(({ user, torrent, peerId }) => [user, torrent, Number(peerId.at(-1))]),
    inOrder(peers.keys()),
  );
  for (const { user, torrent, peerId, port, announces } of batch.peers)
    assert.deepEqual({ port, announces }, peers.get(`${user} ${torrent} ${peerId.at(-1)}`));
  assert.equal(batch.from, 5);
  assert.equal(batch.to, 5 + batch.count);
});
