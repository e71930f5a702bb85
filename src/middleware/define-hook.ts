import type { ClientError } from "../bittorrent/client-error.ts";
import type { Clock, Random } from "../lib/clock.ts";
import { withTimeout } from "../lib/with-timeout.ts";
import type { Logger } from "../observability/logger.ts";
import type { Metrics } from "../observability/metrics.ts";
import { type OptionsSchema, readOptions } from "../options/schema.ts";
import type { PeerStore } from "../storage/peer-store.ts";
import type { Hook } from "./hook.ts";
import type { SharedState } from "./shared-state.ts";

/** What a hook is given besides its options. */
export interface HookDeps {
  /** Coarse time; fields, not calls. */
  readonly clock: Clock;
  readonly random: Random;
  /** For what an operator should know of its setup; never called per request. */
  readonly logger: Logger;
  /** Where its own counters, gauges and histograms are registered; summed over the workers. */
  readonly metrics: Metrics;
  /** What must be one for all workers. */
  readonly shared: SharedState;
  /** How long the tracker's store keeps peers, in seconds. */
  readonly lifetime: { readonly peerLifetime: number; readonly gcInterval: number };
  /** The tracker's store, for what announces do not do by themselves. */
  readonly store: Pick<PeerStore, "remove">;
}

/** How a hook changes the interval that clients are told. */
export interface IntervalChange {
  /** Seconds: the longest interval itself, or with `adds` the most that is added to it. */
  seconds: number;
  adds?: boolean;
  /** The keys behind it: `longest and jitter`. */
  keys: string;
}

/** A hook as a module exports it: what makes hooks of a configuration's options. */
export interface HookDefinition<Options = unknown, Input = unknown> {
  /** Names the hook in the configuration, logs, metrics and failures: `passkey check`. */
  readonly name: string;
  /** What it does, in a sentence for the comments of a configuration. */
  readonly description?: string;
  /** Checks the options; without it there must be none. `options` of `chihaya/options` makes one. */
  readonly options?: OptionsSchema<Options, Input>;
  /** Options as they stand in YAML, for documentation. */
  readonly example?: Readonly<Record<string, unknown>>;
  /** The errors by which it refuses. */
  readonly errors?: readonly ClientError[];
  /** Packages that must be installed for these options; a check of the configuration looks for them. */
  packages?(options: Options): readonly string[];
  /** The longest interval that these options can lead to: the lifetime of peers is checked against it. */
  changesInterval?(options: Options): IntervalChange;
  /**
   * Makes one hook, in each worker and again at each reload. What it throws stops the start, or refuses the reload.
   */
  create(options: Options, deps: HookDeps): Omit<Hook, "name"> | Promise<Omit<Hook, "name">>;
}

/** Options of a definition where those that have a default may be left out. */
export type WithDefaults<Options, Defaulted extends keyof Options> = Omit<Options, Defaulted> &
  Partial<Options>;

/** Defines a hook, with the types of its options from its schema. Export it as `default` for the configuration. */
export function defineHook<Options = undefined, Input = unknown>(
  definition: HookDefinition<Options, Input>,
): HookDefinition<Options, Input> {
  return definition;
}

/**
 * Makes a hook of a definition.
 * @param options  as they were written; checked here
 * @throws Error with the hook's name, and the first wrong option or what `create` has thrown
 */
export async function createDefinedHook<Options>(
  definition: HookDefinition<Options>,
  options: unknown,
  deps: HookDeps,
): Promise<Hook> {
  const read = await readOptions(definition, options, "hook");
  try {
    const created = definition.create(read, deps);
    const hook: Omit<Hook, "name"> | undefined | null = await withLimit("create", created);
    if (typeof hook !== "object" || hook === null) throw new TypeError("create has returned no hook");
    for (const method of methods) {
      if (!["undefined", "function"].includes(typeof hook[method]))
        throw new TypeError(`${method} is not a function`);
    }
    return Object.assign(hook, { name: definition.name });
  } catch (error) {
    throw named(definition.name, error);
  }
}

const methods = ["handleAnnounce", "handleScrape", "aroundAnnounce", "ready", "start", "stop"] as const;

/** Time for `create` or `start` of a hook, in milliseconds: less than systemd waits for a service to start. */
const hookLimitMs = 30_000;

/** Starts a hook. @throws Error with the hook's name, and what `start` has thrown or that it takes too long */
export async function startHook(hook: Hook): Promise<void> {
  try {
    await withLimit("start", hook.start?.());
  } catch (error) {
    throw named(hook.name, error);
  }
}

async function withLimit<T>(method: string, work: T | Promise<T>): Promise<T> {
  if (!(work instanceof Promise)) return work;
  return withTimeout(hookLimitMs, work, `"${method}" was not done within ${hookLimitMs / 1000} s`);
}

/** An error that says which hook it comes from. */
export function named(hook: string, error: unknown): Error {
  return new Error(`${hook}: ${error instanceof Error ? error.message : error}`, { cause: error });
}
