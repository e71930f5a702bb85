import type { ClientError } from "../bittorrent/client-error.ts";
import type { Clock, Random } from "../lib/clock.ts";
import type { Probe, ProbeDeps } from "../lib/probe.ts";
import { withTimeout } from "../lib/with-timeout.ts";
import type { Logger } from "../observability/logger.ts";
import type { Metrics } from "../observability/metrics.ts";
import { type OptionsSchema, readOptions } from "../options/schema.ts";
import type { PeerStore } from "../storage/peer-store.ts";
import type { Hook } from "./hook.ts";
import type { SharedState } from "./shared-state.ts";

/** The collaborators of a hook, passed in beside its options. */
export interface HookDeps {
  /** Coarse time, as fields. */
  readonly clock: Clock;
  readonly random: Random;
  /** For messages to the operator about the setup; never called per request. */
  readonly logger: Logger;
  /** Where the hook registers its counters, gauges and histograms; the tracker sums them over the workers. */
  readonly metrics: Metrics;
  /** State that all workers share. */
  readonly shared: SharedState;
  /** How long the store of the tracker keeps peers, in seconds. */
  readonly lifetime: { readonly peerLifetime: number; readonly gcInterval: number };
  /** The store of the tracker, for operations outside of announces. */
  readonly store: Pick<PeerStore, "remove">;
}

/** How a hook changes the interval in responses. */
export interface IntervalChange {
  /** Seconds: the longest interval itself, or with `adds` the largest increase. */
  seconds: number;
  adds?: boolean;
  /** The option keys that set these seconds: `longest and jitter`. */
  keys: string;
}

/** A hook as a module exports it: creates hooks from the options in the config. */
export interface HookDefinition<Options = unknown, Input = unknown> {
  /** The name of the hook in the config, logs, metrics and errors: `passkey check`. */
  readonly name: string;
  /** The effect of the hook, in one sentence for the comments of a config. */
  readonly description?: string;
  /** Checks the options; a hook without `options` has none. `options` of `chihaya/options` makes a description. */
  readonly options?: OptionsSchema<Options, Input>;
  /** Example options in YAML's spelling, for the documentation. */
  readonly example?: Readonly<Record<string, unknown>>;
  /** The errors with which the hook refuses requests. */
  readonly errors?: readonly ClientError[];
  /** Packages that these options need; a check of the config looks for them. */
  packages?(options: Options): readonly string[];
  /** Lists what these options connect to. `chihaya check-config --connect` tries each. */
  probes?(options: Options, deps: ProbeDeps): readonly Probe[];
  /** Returns the longest interval that these options can cause; a check compares the peer lifetime with this interval. */
  changesInterval?(options: Options): IntervalChange;
  /** Creates one hook, in each worker and again at each reload. An error stops the start, or refuses the reload. */
  create(options: Options, deps: HookDeps): Omit<Hook, "name"> | Promise<Omit<Hook, "name">>;
}

/** Options of a definition, without the options that have a default. */
export type WithDefaults<Options, Defaulted extends keyof Options> = Omit<Options, Defaulted> &
  Partial<Options>;

/** Defines a hook; its schema gives the types of its options. Export the definition as `default` for the config. */
export function defineHook<Options = undefined, Input = unknown>(
  definition: HookDefinition<Options, Input>,
): HookDefinition<Options, Input> {
  return definition;
}

/**
 * Creates a hook from a definition.
 * @param options  unchecked options
 * @throws Error with the hook's name, and the first wrong option or the error of `create`
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

/** Time limit of a hook's `create` or `start`, in milliseconds: less than systemd waits for a service to start. */
const hookLimitMs = 30_000;

/** Starts a hook. @throws Error with the hook's name, and the error of `start` or a timeout */
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

/** Adds the name of the hook to an error. */
export function named(hook: string, error: unknown): Error {
  return new Error(`${hook}: ${error instanceof Error ? error.message : error}`, { cause: error });
}
