/**
 * Lists that change all the time, under load: no request fails, no peer is lost, the memory is flat.
 *
 * CHIHAYA_LIST_RELOADS sets how often each of the two lists changes; the figures are printed with the test.
 */
import assert from "node:assert/strict";
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { scrape } from "../../src/client/tracker-client.ts";
import { AnnounceLoad } from "../support/announce-load.ts";
import { Daemon, temporaryDirectory } from "../support/daemon.ts";

const reloads = Number(process.env.CHIHAYA_LIST_RELOADS ?? 60);
const perSecond = 500;
/** Entries of the lists besides those that the load needs, in turn. */
const sizes = [2000, 3000, 1, 2500];
/** Mebibytes that the process may have grown by in the second half. */
const growthMost = 48;

/** What is wrong in turn, some of the time: it is refused, and the next is taken again. */
const broken = [(text: string) => text.slice(0, -5), () => "", () => "\xff\xfe", () => "<html>"];

test(`each of two lists changes ${reloads} times under load`, async (t) => {
  const folder = temporaryDirectory(t);
  const [torrents, networks] = [join(folder, "torrents.txt"), join(folder, "networks.txt")];
  const replace = (file: string, text: string) => {
    writeFileSync(`${file}.new`, text, "latin1");
    renameSync(`${file}.new`, file);
  };
  const needed = Array.from({ length: 200 }, (_, i) =>
    Buffer.from(`torrent ${String(i).padStart(12, "0")}`).toString("hex"),
  );
  const torrentsOf = (round: number) => {
    const more = Array.from({ length: sizes[round % sizes.length]! }, (_, i) =>
      (BigInt(round) * 1_000_000n + BigInt(i)).toString(16).padStart(40, "0"),
    );
    return `# round ${round}\n${[...needed, ...more].join("\n")}\n`;
  };
  const networksOf = (round: number) => {
    const more = Array.from({ length: sizes[(round + 1) % sizes.length]! }, (_, i) =>
      i % 2
        ? `10.${round & 255}.${i >> 8}.${i & 255}`
        : `2001:db8:${(round & 0xffff).toString(16)}:${i}::/64`,
    );
    return `# round ${round}\n${more.join("\n")}\n`;
  };
  replace(torrents, torrentsOf(0));
  replace(networks, networksOf(0));
  const lists = { check_interval: "10ms", max_entries: 5000 };
  const daemon = await Daemon.start(t, {
    workers: 2,
    prehooks: [
      { name: "ip approval", options: { blacklist_from: [networks], ...lists } },
      { name: "torrent approval", options: { whitelist_from: [torrents], ...lists } },
    ],
  });
  const load = await AnnounceLoad.open(t, { udp: daemon.port("udp"), http: daemon.port("http") });

  let isOver = false;
  const memory: number[] = [];
  const reload = async (file: string, hook: string, textOf: (round: number) => string) => {
    const isOf = (line: object) => "hook" in line && line.hook === hook;
    for (let round = 1; round <= reloads; round++) {
      let from = daemon.lines.length;
      if (round % 10 === 0) {
        replace(file, broken[(round / 10) % broken.length]!(textOf(round)));
        await daemon.until((line) => isOf(line) && line.msg.startsWith("list not loaded: "), from);
        from = daemon.lines.length;
      }
      replace(file, textOf(round));
      await daemon.until((line) => isOf(line) && line.msg === "list loaded", from);
      if (hook === "ip approval") memory.push(residentMebibytes(daemon.child.pid!));
    }
  };
  const run = async () => {
    let report = await load.run(1, perSecond);
    while (!isOver) report = await load.run(1, perSecond);
    return report; // of all of them
  };
  const [report] = await Promise.all([
    run(),
    Promise.all([
      reload(torrents, "torrent approval", torrentsOf),
      reload(networks, "ip approval", networksOf),
    ]).finally(() => {
      isOver = true;
    }),
  ]);

  const half = memory[memory.length >> 1]!;
  const end = memory.at(-1)!;
  t.diagnostic(JSON.stringify({ ...report, reloads: 2 * reloads, mebibytes: { half, end } }));
  assert.ok(end - half < growthMost, `${end - half} MiB more in the second half`);
  const counts = await scrape(
    `${daemon.url("http")}/announce`,
    load.torrents.map(({ infoHash }) => infoHash),
  );
  assert.deepEqual(
    counts.map((count) => [count?.complete, count?.incomplete]),
    load.expectedCounts(),
  );
  daemon.child.kill("SIGTERM");
  assert.deepEqual(await daemon.ended, { code: 0, signal: null });
});

function residentMebibytes(pid: number): number {
  if (process.platform !== "linux") return 0;
  const pages = Number(readFileSync(`/proc/${pid}/statm`, "utf8").split(" ")[1]);
  return Math.round((pages * 4096) / 2 ** 20);
}
