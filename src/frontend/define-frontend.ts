import type { Clock } from "../lib/clock.ts";
import type { TrackerLogic } from "../middleware/logic.ts";
import type { Network } from "../net/network.ts";
import type { Logger } from "../observability/logger.ts";
import type { Metrics } from "../observability/metrics.ts";
import type { CheckReport } from "../options/index.ts";
import type { OptionsSchema } from "../options/schema.ts";
import type { Frontend } from "./frontend.ts";

/** What a frontend is given besides its options. */
export interface FrontendDeps {
  /** Decides about requests: hooks and the store are behind it. */
  readonly logic: TrackerLogic;
  /** Coarse time; fields, not calls. */
  readonly clock: Clock;
  /** Where the frontend registers its own metrics; summed over the workers. */
  readonly metrics: Metrics;
  /** For what an operator should know of its setup; never called per request. */
  readonly logger: Logger;
  /** Takes errors that no request has caused: those of sockets, and any that should not happen. They are logged and counted. */
  onError(error: Error): void;
  /** How bytes reach the kernel. Addresses that are bound here are shared by all workers. */
  readonly network: Pick<Network, "listenStream" | "bindDatagram">;
}

/** An option that holds addresses to listen on. */
export interface Listens<Option extends string = string> {
  /** As YAML spells it. */
  readonly key: string;
  /** As programs spell it. */
  readonly option: Option;
  readonly transport: "tcp" | "udp";
}

/** A frontend as a module exports it: what makes frontends of a configuration's options. */
export interface FrontendDefinition<Options = unknown, Input = unknown> {
  /** Names the frontend: in logs, and as the key of its block where it is built in. */
  readonly name: string;
  /** What the frontend does, in a sentence for the comments of a configuration. */
  readonly description?: string;
  /** Checks the options; without it there must be none. `options` of `chihaya/options` makes one. */
  readonly options?: OptionsSchema<Options, Input>;
  /** Packages that must be installed for these options; a check of the configuration looks for them. */
  packages?(options: Options): readonly string[];
  /**
   * Options that hold addresses to listen on. Where several workers share the addresses, the main thread makes sure beforehand
   * that no other process has them, and chooses the ports that are 0.
   */
  readonly listens?: readonly Listens<keyof Options & string>[];
  /** Options that stay as they are where a reload leaves them out: what they belong to stays until the restart. */
  readonly keepsUnset?: readonly string[];
  /** Chooses what the options leave open and all workers must have alike, such as a secret. */
  complete?(options: Options): Options;
  /**
   * Checks options against each other and against files, for `chihaya check-config` and each start and reload. May change them.
   * @param given  the block as it was written
   */
  check?(options: Options, report: CheckReport, given: Readonly<Record<string, unknown>>): void;
  /** Makes the frontend of one worker, not started yet. What it throws stops the start. */
  create(options: Options, deps: FrontendDeps): Frontend | Promise<Frontend>;
}

/** A frontend to be made: a definition with the options to make it with. */
export interface FrontendUse {
  readonly definition: FrontendDefinition;
  readonly options: unknown;
}

/** Defines a frontend, with the types of its options from its schema. Export it as `default` for the configuration. */
export function defineFrontend<Options = undefined, Input = unknown>(
  definition: FrontendDefinition<Options, Input>,
): FrontendDefinition<Options, Input> {
  return definition;
}

/**
 * Makes a frontend of a definition.
 * @throws Error with the frontend's name, and what `create` has thrown
 */
export async function createFrontend(
  definition: FrontendDefinition,
  options: unknown,
  deps: FrontendDeps,
): Promise<Frontend> {
  try {
    const frontend: Frontend | undefined | null = await definition.create(options, deps);
    if (typeof frontend !== "object" || frontend === null)
      throw new TypeError("create has returned no frontend");
    for (const method of ["start", "urls", "prepare", "stop"] as const) {
      if (typeof frontend[method] !== "function") throw new TypeError(`${method} is not a function`);
    }
    return frontend;
  } catch (error) {
    throw new Error(`${definition.name}: ${(error as Error).message}`, { cause: error });
  }
}

/** Returns the options of a frontend where none is given, but for where it listens. */
export function defaultsOf<Options extends { listen: unknown }>({
  options,
}: FrontendDefinition<Options, Partial<Options>>): Omit<Options, "listen"> {
  const { value } = options!["~standard"].validate({}) as { value: Options };
  const { listen: _, ...defaults } = value;
  return defaults;
}

/** Makes what logs why `::` was left out: the system has no IPv6. */
export function warnOfMissing(logger: Logger): (error: Error) => void {
  return ({ message }) => logger.warn({ reason: message }, "serving without IPv6");
}
