import type { Clock, Random } from "../lib/clock.ts";
import { within } from "../lib/with-timeout.ts";
import type { Logger } from "../observability/logger.ts";
import type { Metrics } from "../observability/metrics.ts";
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
  /** The tracker's store, for what announces do not do by themselves. */
  readonly store: Pick<PeerStore, "remove">;
}

/**
 * A schema for the options of a hook, by the Standard Schema interface (version 1) that Zod, Valibot, ArkType and others
 * implement; `Options` is what it makes of an `Input`.
 */
export interface OptionsSchema<Options, Input = unknown> {
  readonly "~standard": {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => OptionsResult<Options> | Promise<OptionsResult<Options>>;
    readonly types?: { readonly input: Input; readonly output: Options } | undefined;
  };
}

/** Options, or all that is wrong with them. */
export type OptionsResult<Options> =
  | { readonly value: Options; readonly issues?: undefined }
  | { readonly issues: readonly OptionsIssue[] };

export interface OptionsIssue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/** A hook as a module exports it: what makes hooks of a configuration's options. */
export interface HookDefinition<Options = unknown, Input = unknown> {
  /** Names the hook in logs, metrics and failures: `passkey check`. */
  readonly name: string;
  /** Checks the options; without it there must be none. */
  readonly options?: OptionsSchema<Options, Input>;
  /**
   * Makes one hook, in each worker and again at each reload. What it throws stops the start, or refuses the reload.
   */
  create(options: Options, deps: HookDeps): Omit<Hook, "name"> | Promise<Omit<Hook, "name">>;
}

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
  const result = await checkOptions(definition, options);
  if (result.issues !== undefined) {
    const { path, message } = result.issues[0]!;
    throw new Error(
      `${definition.name}: options${optionPath(path)
        .map((step) => `.${step}`)
        .join("")}: ${message}`,
    );
  }
  try {
    const created = definition.create(result.value, deps);
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
  return within(hookLimitMs, work, `"${method}" was not done within ${hookLimitMs / 1000} s`);
}

/** An error that says which hook it comes from. */
export function named(hook: string, error: unknown): Error {
  return new Error(`${hook}: ${error instanceof Error ? error.message : error}`, { cause: error });
}

/** Checks the options of a definition; without a schema there must be none. */
export async function checkOptions<Options>(
  { name, options: schema }: HookDefinition<Options>,
  options: unknown,
): Promise<OptionsResult<Options>> {
  if (schema !== undefined) return schema["~standard"].validate(options ?? {});
  if (options === undefined) return { value: undefined as Options };
  return { issues: [{ message: `the hook ${JSON.stringify(name)} takes no options` }] };
}

/** The keys of an issue's path. */
export function optionPath(path: OptionsIssue["path"] = []): (string | number)[] {
  return path.map((step) => {
    const key = typeof step === "object" ? step.key : step;
    return typeof key === "number" ? key : String(key);
  });
}
