// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the placeholders of the configuration look like that
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Diagnostic, formatDiagnostics } from "../../src/config/diagnostics.ts";
import { type LoadResult, loadConfig } from "../../src/config/load.ts";
import { createRandom, type Random } from "../../src/lib/clock.ts";
import { silentLogger } from "../../src/observability/logger.ts";
import { Metrics } from "../../src/observability/metrics.ts";
import { lifetimeOf } from "../../src/storage/define-store.ts";
import { MemoryStore } from "../../src/storage/memory/memory-store.ts";
import { composeSettings } from "../../src/tracker/compose.ts";
import { LocalHub } from "../../src/tracker/share-hub.ts";
import { Tracker } from "../../src/tracker/tracker.ts";
import { below, mutate, oneIn, pick } from "./mutate.ts";
import { ensure, type FuzzTarget } from "./target.ts";

/** Milliseconds for one document; a thousand times what they take. */
const limitMs = 5000;
const capacity = 32 * 1024;

const root = join(import.meta.dirname, "../..");
const hooks = `
  prehooks:
    - name: "client approval"
      options: {whitelist: ["TR4100", "qB5120"]}
    - name: torrent approval
      options:
        blacklist: ["0123456789abcdef0123456789abcdef01234567"]
    - &variation
      name: "interval variation"
      options: {modify_response_probability: 0.2, max_increase_delta: 60, modify_min_interval: true}
  posthooks: [*variation]
`;

/** What people write into values, and what they should not. */
const values = [
  ..."''|~|null|true|no|0|-1|1e3|0x10|1_000|99999999999999999999|.nan|.inf|30m|1h30m|-5s|0.0001ms|1y".split(
    "|",
  ),
  ..."0.0.0.0:6969|:6969|[::]:6969|:::|1.2.3.4|256.1.1.1:1|localhost:80|[::1%lo]:1|:70000|10.0.0.0/8|::/0|x/y".split(
    "|",
  ),
  ...'[]|{}|[a, b]|{a: b}|[[[[]]]]|*a|&a b|!!binary aGk=|!!str 1|!<tag:x> y|>-|\'|"\\x00"|"\\u2028"|${HOME}|${|$${|${X:-y}'.split(
    "|",
  ),
  ..."/announce|/:a/:b|/*x|//|/:|/announce?x|/%zz|\u00e9|\ud83d\ude00".split("|"),
  `[${"a, ".repeat(300)}]`,
  "[".repeat(100),
  "x".repeat(2000),
];

/** Whole lines that change what is around them. */
const lines = [
  "---",
  "...",
  "%YAML 1.2",
  "\t",
  "chihaya:",
  "  <<: *a",
  "  ? x",
  "- x",
  "a: &a [x, x, x, x, x, x, x, x, x]",
  "b: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a]",
  "c: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b]",
  "d: &d [*c, *c, *c, *c, *c, *c, *c, *c, *c]",
  "e: &e [*d, *d, *d, *d, *d, *d, *d, *d, *d]",
  "f: &f [*e, *e, *e, *e, *e, *e, *e, *e, *e]",
  "__proto__: {polluted: 1}",
  "  constructor: x",
  "  udp: {toString: 1}",
];

/** YAML documents made from sound ones, loaded as a configuration file, and started where nothing is wrong. */
export class YamlTarget implements FuzzTarget {
  readonly name = "yaml";
  count = 0;
  readonly #random: Random;
  readonly #folder = mkdtempSync(join(tmpdir(), "chihaya-fuzz-"));
  readonly #file = join(this.#folder, "chihaya.yaml");
  readonly #seeds: string[];
  readonly #bytes = new Uint8Array(capacity);
  #length = 0;
  /** Milliseconds of the slowest document. */
  slowestMs = 0;
  /** Documents that were accepted. */
  accepted = 0;

  constructor(seed: number) {
    this.#random = createRandom(seed);
    const example = readFileSync(join(root, "chihaya.example.yaml"), "utf8");
    const plain = example.replaceAll(/^ *#.*\n/gm, "").replaceAll(/^ *(pre|post)hooks:.*\n/gm, "");
    const files = globSync("test/fixtures/config/**/*.yaml", { cwd: root }).sort();
    this.#seeds = [
      ...[plain, plain, plain, plain].map((text) => text + hooks),
      plain,
      `chihaya:${hooks}`,
      ...files.map((file) => readFileSync(join(root, file), "utf8")),
    ];
  }

  input(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }

  async run(cases: number): Promise<void> {
    for (let i = 0; i < cases; i++) {
      this.#generate();
      writeFileSync(this.#file, this.#bytes.subarray(0, this.#length));
      const started = performance.now();
      const result = loadConfig({ file: this.#file, env: { HOME: "/root" } });
      await this.#check(result);
      const elapsed = performance.now() - started;
      this.slowestMs = Math.max(this.slowestMs, elapsed);
      ensure(elapsed < limitMs, () => `a document took ${elapsed} ms`);
      this.count++;
    }
  }

  check(): void {
    ensure(Object.keys(Object.prototype).length === 0, () => "Object.prototype has been changed");
  }

  stop(): Promise<void> {
    rmSync(this.#folder, { recursive: true });
    return Promise.resolve();
  }

  async #check(result: LoadResult): Promise<void> {
    if (!result.ok) ensure(result.errors.length > 0, () => "refused without a reason");
    const diagnostics = [...(result.ok ? [] : result.errors), ...result.warnings];
    ensure(diagnostics.length <= 200, () => `${diagnostics.length} diagnostics`);
    for (const diagnostic of diagnostics) this.#checkDiagnostic(diagnostic);
    const text = formatDiagnostics(diagnostics);
    ensure(!/[\0-\x08\x0b-\x1f]/.test(text), () => "control characters in a message");
    if (!result.ok) return;
    this.accepted++;
    // What has been accepted can be run.
    const clock = { seconds: 0, unixSeconds: 0 };
    const { peerLifetime, gcInterval } = lifetimeOf(result.config.storage.config);
    const config = { gcInterval, peerLifetime, maxPeers: 10, peerIds: false };
    const store = new MemoryStore({ config, clock, random: this.#random });
    const parts = { clock, metrics: new Metrics(), logger: silentLogger };
    const hub = new LocalHub({ clock, random: this.#random });
    const hooks = { random: this.#random, hub, owner: 1, store };
    // A module that somebody names is his own code.
    if ([...result.config.preHooks, ...result.config.postHooks].some(({ name }) => name === "module")) return;
    new Tracker(await composeSettings(result.config, { ...parts, ...hooks }), { ...parts, store });
  }

  #checkDiagnostic({ source, line, column, message }: Diagnostic): void {
    ensure(message.length > 0 && message.length < 1000, () => `a message of ${message.length} characters`);
    ensure(source === this.#file, () => `an error in ${source}`);
    // A file that is not text at all has no lines.
    const isUnreadable = /not UTF-8|larger than/.test(message);
    ensure(isUnreadable || (line! >= 1 && column! >= 1), () => `no position: ${message}`);
    ensure(
      isUnreadable || line! <= this.#lineCount() + 1,
      () => `line ${line} of ${this.#lineCount()}: ${message}`,
    );
  }

  #lineCount(): number {
    let count = 1;
    for (let i = 0; i < this.#length; i++) if (this.#bytes[i] === 0x0a) count++;
    return count;
  }

  #generate(): void {
    const random = this.#random;
    const document = pick(random, this.#seeds).split("\n");
    for (let times = below(random, 4); times > 0; times--) this.#changeLines(document);
    const newline = oneIn(random, 32) ? "\r\n" : "\n";
    this.#length = new TextEncoder().encodeInto(document.join(newline), this.#bytes).written;
    if (oneIn(random, 3)) this.#length = mutate(random, this.#bytes, 0, this.#length, capacity);
  }

  /** Changes one line, or moves some, as slips of an editor do. */
  #changeLines(document: string[]): void {
    const random = this.#random;
    const at = below(random, document.length);
    const line = document[at]!;
    switch (below(random, 8)) {
      case 0:
        document.splice(at, 1 + below(random, 3));
        break;
      case 1:
        document.splice(below(random, document.length), 0, ...document.slice(at, at + 1 + below(random, 5)));
        break;
      case 2:
        document[at] = " ".repeat(below(random, 5)) + line;
        break;
      case 3:
        document[at] = line.slice(below(random, 4));
        break;
      case 4:
        document.splice(at, 0, ...lines.slice(below(random, lines.length)).slice(0, 1 + below(random, 6)));
        break;
      case 5:
        document[at] = line.replace(/[a-z]/, (letter) => pick(random, ["", letter + letter, "x", '"']));
        break;
      default:
        document[at] = line.replace(/:.*|- .*/, (found) => `${found.slice(0, 1)} ${pick(random, values)}`);
    }
    if (document.length === 0) document.push("");
  }
}
