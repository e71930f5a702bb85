/** Keeps the documents true where a machine can tell: links, configurations, commands, programs. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, normalize } from "node:path";
import { after, describe, test } from "node:test";
import { loadConfig } from "../../src/config/load.ts";

const documents = globSync(["*.md", "docs/*.md", "src/hooks/*/README.md"]).sort();
const texts = new Map(documents.map((file) => [file, readFileSync(file, "utf8")]));

/** A fenced block of a document. */
interface Block {
  language: string;
  code: string;
  /** `README.md:12`, for messages. */
  at: string;
}

function blocks(file: string, text: string): Block[] {
  return [...text.matchAll(/^```(.*)\n([\s\S]*?)^```$/gm)].map(({ 1: language, 2: code, index }) => ({
    language: language!,
    code: code!,
    at: `${file}:${text.slice(0, index).split("\n").length}`,
  }));
}

const allBlocks = documents.flatMap((file) => blocks(file, texts.get(file)!));

function withoutBlocks(text: string): string {
  return text.replace(/^```[\s\S]*?^```$/gm, "");
}

/** The anchors of a document, as GitHub makes them from headings. */
function anchors(text: string): Set<string> {
  const headings = [...withoutBlocks(text).matchAll(/^#+ +(.+)$/gm)];
  return new Set(
    headings.map(([, heading]) =>
      heading!
        .toLowerCase()
        .replace(/[^\p{L}\p{N} _-]/gu, "")
        .replaceAll(" ", "-"),
    ),
  );
}

function brokenLinks(file: string, text: string): string[] {
  const links = [...withoutBlocks(text).matchAll(/\]\(([^)\s]+)\)/g)].map(([, target]) => target!);
  return links.filter((link) => {
    if (/^[a-z]+:/.test(link)) return false;
    const [path = "", anchor] = link.split("#");
    const target = path === "" ? file : normalize(join(dirname(file), path));
    if (!existsSync(target)) return true;
    return anchor !== undefined && !anchors(readFileSync(target, "utf8")).has(anchor);
  });
}

describe("documents", () => {
  assert.ok(documents.length >= 10);

  for (const [link, isBroken] of [
    ["docs/hooks.md", false],
    ["docs/hooks.md#the-contract", false],
    ["#run-it", false],
    ["https://example.org/x", false],
    ["docs/none.md", true],
    ["docs/hooks.md#none", true],
  ] as const) {
    test(`a link to ${link} is ${isBroken ? "broken" : "fine"}`, () => {
      assert.deepEqual(brokenLinks("README.md", `# Run it\n\n[x](${link})`), isBroken ? [link] : []);
    });
  }

  for (const file of documents) {
    test(`${file}: links lead somewhere`, () => {
      assert.deepEqual(brokenLinks(file, texts.get(file)!), []);
    });

    test(`${file} names no path of somebody's machine`, () => {
      assert.doesNotMatch(texts.get(file)!, /\/(work|home|root|Users|tmp)\//);
    });
  }
});

describe("configurations in documents", () => {
  const directory = mkdtempSync(join(tmpdir(), "chihaya-docs-"));
  after(() => rmSync(directory, { recursive: true }));
  writeFileSync(join(directory, "private_key"), "a key that is long enough\n");
  const standIn = join(directory, "keys.json"); // for files of the reader's own
  writeFileSync(standIn, '{"keys": [{}]}');
  const env = { CHIHAYA_KEY: "a key that is long enough", CREDENTIALS_DIRECTORY: directory };

  const found = allBlocks.filter(({ language }) => language.startsWith("yaml"));
  assert.ok(found.length > 8);
  for (const { code, at } of found) {
    test(`${at} can be used`, () => {
      const isHook = /^- (name|module):/.test(code);
      const indented = code.replace(/^/gm, "    ");
      const text = isHook ? `chihaya:\n  http: {}\n  prehooks:\n${indented}` : code;
      const file = join(directory, "chihaya.yaml");
      writeFileSync(
        file,
        text.replace(/\b(asn|country|jwk_set_file|secret_file): "[^"]+"/g, `$1: "${standIn}"`),
      );
      const result = loadConfig({ file, env });
      assert.deepEqual(result.ok ? [] : result.errors, []);
    });
  }
});

describe("commands in documents", () => {
  const lines = allBlocks
    .filter(({ language }) => language === "sh")
    .flatMap(({ code, at }) => code.split("\n").map((line) => ({ line, at })));
  const spans = documents.flatMap((file) =>
    [...withoutBlocks(texts.get(file)!).matchAll(/`([^`]+)`/g)].map(([, line]) => ({
      line: line!,
      at: file,
    })),
  );
  const help = new Map<string, string>();
  const helpOf = (command: string): string => {
    let text = help.get(command);
    if (text === undefined) {
      text = execFileSync(process.execPath, ["src/cli/main.ts", command, "--help"], { encoding: "utf8" });
      help.set(command, text);
    }
    return text;
  };

  const unit = readFileSync("deploy/chihaya.service", "utf8");
  const services = [...unit.matchAll(/^Exec\w+=\S+ \S+\/cli\/main\.js (.*)$/gm)].map(([, args]) => ({
    line: `chihaya ${args}`,
    at: "deploy/chihaya.service",
  }));
  assert.equal(services.length, 3);

  const calls = [...lines, ...spans, ...services]
    .map(({ line, at }) => ({ line: line.replace(/\s+#.*$/, ""), at }))
    .filter(({ line }) => /^(\.\/)?chihaya /.test(line) && !/[A-Z]+ --help$/.test(line));
  assert.ok(calls.length > 10);
  for (const { line, at } of calls) {
    test(`${at}: ${line}`, () => {
      const args = line.replace(/^(\.\/)?chihaya /, "").split(/\s+/);
      if (args[0] === "--version") return;
      const command = args[0]!.startsWith("-") ? "serve" : args[0]!;
      const text = helpOf(command); // throws where there is no such command
      for (const flag of args.filter((arg) => arg.startsWith("--"))) {
        assert.ok(text.includes(flag.split("=")[0]!), `${command} has no ${flag}`);
      }
    });
  }

  const scripts = Object.keys(JSON.parse(readFileSync("package.json", "utf8")).scripts);
  test("scripts of npm exist", () => {
    const named = [...lines, ...spans].flatMap(({ line }) =>
      [...line.matchAll(/\bnpm (?:run (\S+)|(start|test)\b)/g)].map(([, run, short]) => run ?? short!),
    );
    assert.ok(named.length > 5);
    assert.deepEqual(
      named.filter((name) => !scripts.includes(name)),
      [],
    );
  });
});

test("what the image is built from exists", () => {
  const context = readFileSync("deploy/Dockerfile.dockerignore", "utf8").matchAll(/^!(.+)$/gm);
  const missing = [...context].map(([, path]) => path!).filter((path) => !existsSync(path));
  assert.deepEqual(missing, []);
});

test("an install in a directory has what the image has", () => {
  const copies = readFileSync("deploy/Dockerfile", "utf8").matchAll(/^COPY --from=build (.+) \S+$/gm);
  const ofImage = [...copies]
    .flatMap(([, paths]) => paths!.split(" "))
    .map((path) => path.slice("/src/".length));
  assert.ok(ofImage.length >= 6);
  // Without --parents, "dashboard/built" would become "built".
  const [, paths] = /^sudo cp -r --parents (.+) \/opt\/chihaya\/$/m.exec(texts.get("docs/operations.md")!)!;
  const ofGuide = paths!.split(" ");
  assert.deepEqual(
    ofImage.filter((path) => !ofGuide.includes(path)),
    [],
  );
});

describe("programs in documents", () => {
  const sources = globSync(["examples/*/*.ts", "src/**/*.ts", "test/fixtures/*.ts"]).map((file) =>
    readFileSync(file, "utf8"),
  );
  const found = allBlocks.filter(({ language }) => language === "ts");
  assert.ok(found.length > 3);
  for (const { code, at } of found) {
    test(`${at} is part of a program that is compiled and tested`, () => {
      assert.ok(sources.some((source) => source.includes(code)));
    });
  }
});
