/**
 * Runs benchmarks, each group in its own process, and prints their figures as Markdown.
 *
 * Usage: npm run bench -- [--write] [NAME...]
 * Without names, lists the benchmarks. `all` means every micro-benchmark; --write puts their figures into
 * docs/performance.md.
 */
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import type { Micro, MicroFigures } from "./micro/micro.ts";

/** Micro-benchmarks. Each module is loaded only in the process that measures it. */
const micros: Record<string, () => Promise<Micro>> = {
  "udp-codec": async () => (await import("./micro/udp-codec.ts")).udpCodec,
  "http-codec": async () => (await import("./micro/http-codec.ts")).httpCodec,
  chain: async () => (await import("./micro/chain.ts")).chain,
  jwt: async () => (await import("./micro/jwt.ts")).jwt,
  access: async () => (await import("./micro/access.ts")).access,
  store: async () => (await import("./micro/store.ts")).store,
  locality: async () => (await import("./micro/locality.ts")).locality,
  private: async () => (await import("./micro/private.ts")).privateHook,
  "udp-frontend": async () => (await import("./micro/udp-frontend.ts")).udpFrontend,
};
/** Separate programs; their first lines describe their arguments. */
const programs: Record<string, string> = {
  memory: "resident memory of a tracker with 2,000,000 peers",
  portable: "CPU time per request over loopback, beside plain Node servers",
};

const args = process.argv.slice(2);
if (args[0] === "--measure") await measure(args[1]!);
else main();

function main(): void {
  const write = args.includes("--write");
  const given = args.filter((name) => name !== "--write");
  const names = given.includes("all") || (write && given.length === 0) ? Object.keys(micros) : given;
  if (names.length === 0) list();
  const unknown = names.filter((name) => !(name in micros) && !(name in programs));
  if (unknown.length > 0) {
    console.error(`no such benchmark: ${unknown.join(", ")}`);
    process.exit(2);
  }
  const sections: string[] = [];
  for (const name of names) {
    if (name in programs) {
      execFileSync(process.execPath, [`${import.meta.dirname}/${name}.ts`], { stdio: "inherit" });
      continue;
    }
    const section = execFileSync(process.execPath, [import.meta.filename, "--measure", name], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "inherit"],
    });
    console.log(section);
    sections.push(section);
  }
  if (write) replaceSection(sections);
}

function list(): void {
  console.log(`micro-benchmarks ("all" runs them): ${Object.keys(micros).join(", ")}`);
  for (const [name, what] of Object.entries(programs)) console.log(`${name}: ${what}`);
}

async function measure(name: string): Promise<void> {
  const micro = await micros[name]!();
  const { measureCase } = await import("./micro/micro.ts");
  const figures: MicroFigures[] = [];
  for (const [each, call] of Object.entries(await micro.cases())) figures.push(await measureCase(each, call));
  const rows = figures.map(({ name, nanoseconds, bytes }) => {
    const time = nanoseconds < 10 ? nanoseconds.toFixed(1) : nanoseconds.toFixed(0);
    return `| ${name} | ${time} | ${bytes === 0 ? "0" : bytes.toFixed(1)} |`;
  });
  console.log(
    `### ${micro.title}\n\n| operation | ns | bytes allocated |\n|---|---:|---:|\n${rows.join("\n")}`,
  );
}

/** Writes the figures between the markers of the document. */
function replaceSection(sections: readonly string[]): void {
  const file = new URL("../docs/performance.md", import.meta.url);
  const text = readFileSync(file, "utf8");
  const marked = /(<!-- begin: npm run bench -- --write -->\n)[\s\S]*(<!-- end: micro -->)/;
  if (!marked.test(text)) throw new Error("docs/performance.md has no markers");
  const { model } = cpus()[0]!;
  const where = `Node.js ${process.version} on ${cpus().length} cores (${model.trim()}).`;
  writeFileSync(
    file,
    text.replace(marked, (_, begin, end) => `${begin}\n${where}\n\n${sections.join("\n")}\n${end}`),
  );
}
