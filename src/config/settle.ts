import { isDeepStrictEqual } from "node:util";
import type { Path } from "../options/index.ts";

/** A value that a reload cannot change. Plain data: the child process that loads a configuration sends it to the tracker. */
export interface RestartMark {
  /** Its name in the configuration: `http.addr`. */
  readonly name: string;
  /** Its path in a {@link Config}. */
  readonly path: Path;
  /**
   * For a block: the whole block is kept if it appears or disappears, or if one of these keys differs. For a list: the whole
   * list is kept if its modules differ.
   */
  readonly identity?: readonly string[];
  /** The value that lets the tracker choose: port 0, or an empty value. The tracker then keeps its earlier choice. */
  readonly open?: "port" | "empty";
  /** Whether the running value is kept without naming it: the change has no effect without another one that needs a restart. */
  readonly isSilent?: boolean;
}

/** A configuration that can run now, and the names that need a restart. */
export interface Settled<Config> {
  config: Config;
  /** Names of the configuration, in its order. */
  needsRestart: string[];
}

/**
 * Merges two configurations: values that a reload can change come from the next one, all others from the running one.
 * @param marks  marks of the next configuration; a block comes before its keys
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

/**
 * Returns the path of the same value in the running configuration. An item of a list corresponds to the item of the same
 * name there; of several with one name, the first corresponds to the first, and so on.
 */
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
