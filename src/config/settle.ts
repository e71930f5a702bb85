import { isDeepStrictEqual } from "node:util";
import type { Path } from "../options/index.ts";

/** Something that a reload cannot change, as plain data: the process that loads a configuration sends it along. */
export interface RestartMark {
  /** As the configuration spells it: `http.addr`. */
  readonly name: string;
  /** Where it is in a {@link Config}. */
  readonly path: Path;
  /**
   * Of a block that is kept as a whole where it comes or goes, or where one of these values in it differs; of a list, where
   * its modules differ.
   */
  readonly identity?: readonly string[];
  /** What leaves the choice to the tracker, which keeps what it has chosen: port 0, or an empty value. */
  readonly open?: "port" | "empty";
  /** Whether a change that can be made is kept back silently, because it has no effect without one that cannot. */
  readonly isSilent?: boolean;
}

/** A configuration that can run now, and what of the next one waits for a restart. */
export interface Settled<Config> {
  config: Config;
  /** Names of the configuration, in its order. */
  needsRestart: string[];
}

/**
 * Takes from the next configuration what a reload can change, and from the running one what it cannot.
 * @param marks  of the next configuration; a block comes before the keys in it
 */
export function settle<Config extends object>(
  running: Config,
  next: Config,
  marks: readonly RestartMark[],
): Settled<Config> {
  let config = next;
  const needsRestart: string[] = [];
  const kept: Path[] = [];
  for (const { name, path, identity, open, isSilent } of marks) {
    if (kept.some((block) => block.every((step, index) => step === path[index]))) continue;
    const source = sourceOf(path, running, next);
    if (source === undefined) continue;
    const before = valueAt(running, source);
    const after = valueAt(next, path);
    if (identity === undefined ? isDeepStrictEqual(before, after) : isSameBlock(before, after, identity))
      continue;
    const isOpen = leavesOpen(before, after, open);
    if (isSilent && !isOpen) continue;
    if (identity !== undefined) kept.push(path);
    if (!isSilent && !isOpen) needsRestart.push(name);
    config = withValue(config, path, before);
  }
  return { config, needsRestart };
}

type Lists = Readonly<Record<string, readonly { name: string; module?: string }[]>>;

/** Where the running configuration has the value: an item of a list is the one of its name, counted from the front. */
function sourceOf([list, index, ...below]: Path, running: object, next: object): Path | undefined {
  if (typeof index !== "number") return index === undefined ? [list!] : [list!, index, ...below];
  const of = (config: object) => (config as Lists)[list!] ?? [];
  const same = (one: Lists[string][number] | undefined) => {
    const item = of(next)[index]!;
    return one?.name === item.name && one.module === item.module;
  };
  const count = of(next).slice(0, index).filter(same).length;
  const found = [...of(running).keys()].filter((at) => same(of(running)[at]))[count];
  return found === undefined ? undefined : [list!, found, ...below];
}

function valueAt(value: unknown, path: Path): unknown {
  return path.reduce<unknown>((block, step) => (block as Record<string, unknown> | undefined)?.[step], value);
}

function withValue<T>(block: T, [step, ...below]: Path, value: unknown): T {
  if (step === undefined) return value as T;
  const copy = (Array.isArray(block) ? [...block] : { ...block }) as Record<string, unknown>;
  copy[step] = withValue(copy[step], below, value);
  if (copy[step] === undefined) delete copy[step];
  return copy as T;
}

function isSameBlock(before: unknown, after: unknown, identity: readonly string[]): boolean {
  if (Array.isArray(before) && Array.isArray(after)) {
    const modules = (list: readonly { module?: string }[]) => list.map(({ module }) => module);
    return isDeepStrictEqual(modules(before), modules(after));
  }
  if (before === undefined || after === undefined) return before === after;
  return identity.every((key) => valueAt(before, [key]) === valueAt(after, [key]));
}

interface Listen {
  host: string;
  port: number;
}

function leavesOpen(before: unknown, after: unknown, open: RestartMark["open"]): boolean {
  if (open === "empty") return after === "" || after === undefined;
  if (open === undefined || before === undefined) return false;
  const [old, fresh] = [before, after] as (readonly Listen[])[];
  return (
    old!.length === fresh!.length &&
    fresh!.every(({ host, port }, i) => host === old![i]!.host && (port === 0 || port === old![i]!.port))
  );
}
