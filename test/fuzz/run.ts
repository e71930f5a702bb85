/**
 * Feeds the tracker what no client should send, and checks that nothing breaks: see the targets beside this file.
 * Closes with figures, or with the seed, the number and the bytes of the case that went wrong.
 *
 * Usage: npm run fuzz -- [--seconds N | --cases N] [--seed S] [--only udp|http|webtorrent|bodies|yaml]
 * Default: 30 seconds, a seed of its own.
 */
import { parseArgs } from "node:util";
import { allKinds, fuzz, type Kind } from "./fuzz.ts";

const { values } = parseArgs({
  options: {
    seconds: { type: "string" },
    cases: { type: "string" },
    seed: { type: "string" },
    only: { type: "string" },
  },
});
const seed = Number(values.seed ?? Date.now() % 1_000_000);
const cases = Number(values.cases ?? Number.POSITIVE_INFINITY);
const seconds = Number(values.seconds ?? (values.cases === undefined ? 30 : Number.POSITIVE_INFINITY));
const kinds = values.only === undefined ? allKinds : allKinds.filter((kind) => kind === values.only);
if (kinds.length === 0 || Number.isNaN(seed + cases + seconds)) {
  console.error(
    "usage: npm run fuzz -- [--seconds N | --cases N] [--seed S] [--only udp|http|webtorrent|bodies|yaml]",
  );
  process.exit(2);
}

const mib = (bytes: number) => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
const started = performance.now();
let rounds = 0;
const rss: number[] = [];
console.log(`seed ${seed}`);
const report = await fuzz({
  kinds: kinds as Kind[],
  cases,
  seed,
  isEnough: () => performance.now() - started >= seconds * 1000,
  onRound: (done, heap) => {
    rss.push(process.memoryUsage.rss());
    if (rounds++ % 10 === 0) {
      const elapsed = ((performance.now() - started) / 1000).toFixed(0);
      console.log(`${elapsed} s: ${done} cases, heap ${mib(heap)}, RSS ${mib(rss.at(-1)!)}`);
    }
  },
});
for (const [name, count] of Object.entries(report.cases)) {
  const milliseconds = report.milliseconds[name]!;
  console.log(
    `${name}: ${count} cases in ${(milliseconds / 1000).toFixed(1)} s, ${((milliseconds * 1000) / count).toFixed(1)} µs each`,
  );
}
const total = Object.values(report.cases).reduce((sum, count) => sum + count, 0);
const warm = rss[Math.floor(rss.length / 5)]!;
console.log(
  `${total} cases in ${((performance.now() - started) / 1000).toFixed(0)} s, nothing broke; ` +
    `RSS first ${mib(rss[0]!)}, after a fifth ${mib(warm)}, last ${mib(rss.at(-1)!)}, most ${mib(Math.max(...rss))}`,
);
