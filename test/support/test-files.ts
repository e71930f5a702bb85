import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestRecord } from "./test-reporter.ts";

/** Options of a run. */
export interface TestFilesOptions {
  /** Number of files that run at the same time. */
  concurrency: number;
  /** Time limit of one file. */
  limitMs: number;
  /** If no more files than this fail, each of them runs once more, alone, and that run counts. */
  runAgain: number;
  /** Options of Node.js, for each file. */
  flags: readonly string[];
  write(text: string): void;
}

/** Results of a run. */
export interface TestFilesResult {
  passed: number;
  failed: number;
  skipped: number;
  /** A line for each failure, which names its file. */
  failures: string[];
  /** Such lines of files that passed when they ran again. */
  failuresAtFirst: string[];
}

type FileResult = Omit<TestFilesResult, "failuresAtFirst">;

const reporter = join(import.meta.dirname, "test-reporter.ts");

/**
 * Runs test files, each in its own process group and with its own temporary directory (TMPDIR). When the process of a file
 * has ended, kills the processes that it started and removes the directory. Does the same for running files when this
 * process exits.
 *
 * A file that takes longer than the limit is killed and fails.
 */
export async function runTestFiles(
  files: readonly string[],
  options: TestFilesOptions,
): Promise<TestFilesResult> {
  const results = new Map<string, FileResult>();
  const waiting = [...files];
  const live = files.length === 1; // the outputs of several files would mix
  const runNext = async (): Promise<void> => {
    for (let file = waiting.shift(); file !== undefined; file = waiting.shift())
      results.set(file, await runAndCount(file, options, live));
  };
  await Promise.all(Array.from({ length: options.concurrency }, runNext));

  const failuresAtFirst: string[] = [];
  const failing = files.filter((file) => results.get(file)!.failed > 0);
  if (failing.length <= options.runAgain) {
    for (const file of failing) {
      options.write(`# ${file} failed and runs again\n`);
      const second = await runAndCount(file, options, live);
      if (second.failed === 0) failuresAtFirst.push(...results.get(file)!.failures);
      results.set(file, second);
    }
  }
  const all = [...results.values()];
  const sum = (of: (result: FileResult) => number) => all.reduce((total, result) => total + of(result), 0);
  return {
    passed: sum(({ passed }) => passed),
    failed: sum(({ failed }) => failed),
    skipped: sum(({ skipped }) => skipped),
    failures: all.flatMap(({ failures }) => failures),
    failuresAtFirst,
  };
}

async function runAndCount(file: string, options: TestFilesOptions, live: boolean): Promise<FileResult> {
  const { output, seconds, records, ended } = await runTestFile(file, options, live);
  options.write(`${output}# ${file} (${seconds.toFixed(1)} s)\n`);
  const count = (step: TestRecord["step"]) =>
    records.filter((record) => record.counts && record.step === step).length;
  const failures = records
    .filter(({ step }) => step === "failed")
    .map(({ name, at }) => `${file}:${at}: ${name}`);
  let failed = count("failed");
  // a file can fail while its tests pass: it dies, it hangs, or a hook of a suite fails
  if (ended !== "ended with 0" && (failed === 0 || ended !== "ended with 1")) {
    failed++;
    if (failures.length === 0 || ended !== "ended with 1")
      failures.push(`${file}: ${ended}${unfinished(records)}`);
  }
  return { passed: count("passed"), failed, skipped: count("skipped"), failures };
}

interface FileRun {
  output: string;
  seconds: number;
  records: TestRecord[];
  /** How the process ended. */
  ended: string;
}

/** Functions that clean up after the running files. */
const cleanUps = new Set<() => void>();
process.on("exit", () => {
  for (const cleanUp of cleanUps) cleanUp();
});

async function runTestFile(
  file: string,
  { flags, limitMs, write }: TestFilesOptions,
  live: boolean,
): Promise<FileRun> {
  const directory = mkdtempSync(join(tmpdir(), "chihaya-test-"));
  const recordFile = join(directory, "records");
  const temporary = join(directory, "tmp");
  writeFileSync(recordFile, "");
  mkdirSync(temporary);
  const { NODE_TEST_CONTEXT: _, ...env } = process.env; // set where this runs in a test itself
  const began = performance.now();
  const child = spawn(
    process.execPath,
    [...flags, `--test-reporter=${reporter}`, "--test-reporter-destination=stdout", file],
    {
      stdio: ["ignore", "pipe", "pipe"],
      detached: true, // the leader of a process group
      env: { ...env, TMPDIR: temporary, CHIHAYA_TEST_RECORDS: recordFile },
    },
  );
  const cleanUp = () => {
    killGroup(child);
    rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
  };
  cleanUps.add(cleanUp);

  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      if (live) write(text);
      else output += text;
    });
  }
  let isLate = false;
  const limit = setTimeout(() => {
    isLate = true;
    killGroup(child);
  }, limitMs);
  const ended = await new Promise<string>((resolve) => {
    let how = "";
    child.on("exit", (code, signal) => {
      how = `ended with ${code ?? signal}`;
      killGroup(child); // processes that the file has left running, which also keep its output open
    });
    child.on("error", (error) => resolve(error.message));
    child.on("close", () => resolve(how));
  });
  clearTimeout(limit);
  const records = readFileSync(recordFile, "utf8")
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line) as TestRecord);
  cleanUp();
  cleanUps.delete(cleanUp);
  return {
    output,
    seconds: (performance.now() - began) / 1000,
    records,
    ended: isLate ? `still running after ${limitMs / 1000} s` : ended,
  };
}

/** Kills all processes of the group that `child` leads or has led. */
function killGroup({ pid }: ChildProcess): void {
  try {
    if (pid !== undefined) process.kill(-pid, "SIGKILL");
  } catch {
    // the group has no processes
  }
}

/** Names the tests that had begun but not ended. */
function unfinished(records: readonly TestRecord[]): string {
  const names = new Map<string, string>();
  for (const { step, name, at } of records) {
    if (step === "started") names.set(at, name);
    if (step === "over") names.delete(at);
  }
  return names.size === 0 ? "" : `, in: ${[...names.values()].join(" > ")}`;
}
