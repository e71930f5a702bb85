import type { Route } from "../http/routes.ts";
import type { Clock } from "../lib/clock.ts";
import type { TrackerLogic } from "../middleware/logic.ts";
import type { Network } from "../net/network.ts";
import type { Logger } from "../observability/logger.ts";
import type { FamilySnapshot, Metrics } from "../observability/metrics.ts";
import type { RequestReporter } from "../observability/observer.ts";
import type { RequestKinds } from "../observability/response-metrics.ts";
import type { CheckReport } from "../options/index.ts";
import type { OptionsSchema } from "../options/schema.ts";
import type { PeerStore } from "../storage/peer-store.ts";
import type { Frontend } from "./frontend.ts";
import type { Handover } from "./handover.ts";

/** The place of a thread among the threads that serve clients. */
export interface ThreadPlace {
  /** From 1. A thread that takes the place of a dead one has its number. */
  readonly number: number;
  /** Whether the thread takes the place of a dead one. */
  readonly isReplacement: boolean;
  /** How many threads there are. They listen on the same addresses. */
  readonly count: number;
}

/** The only thread that serves clients. */
export const onlyThread: ThreadPlace = { number: 1, isReplacement: false, count: 1 };

/** The collaborators of a frontend. */
export interface FrontendDeps {
  /** Decides about requests, with hooks and the store. */
  readonly logic: TrackerLogic;
  /** Coarse time, as fields. */
  readonly clock: Clock;
  /** The swarms, for pages about all of them. Announces and scrapes go through `logic`. */
  readonly store: PeerStore;
  /** Registers the frontend's own metrics; the tracker sums them over the workers. */
  readonly metrics: Metrics;
  /** Returns the metrics of all threads. */
  scrape(): Promise<readonly FamilySnapshot[]>;
  /** Returns the same memory in every worker, initially zero. The same name with another size is another memory. */
  buffer(name: string, bytes: number): Promise<SharedArrayBuffer>;
  /**
   * Reports each request of the frontend, from its beginning to its end, to the metrics and to the program's observer:
   * `const startedMs = requests.begin()`, later `requests.end(startedMs, "announce", 4)`. A frontend also reports requests that
   * never reach the logic, with an error or a reason.
   */
  readonly requests: RequestReporter;
  /** Resources that a frontend which speaks HTTP also serves, beside announces. */
  readonly routes: readonly Route[];
  /** Where the frontend with the HTTP listeners meets the frontend that takes over some of their connections. */
  readonly handover: Handover;
  /** Logs what an operator should know about the setup; not for single requests. */
  readonly logger: Logger;
  /** Logs and counts an error that no request has caused, such as an error of a socket, and any unexpected error. */
  onError(error: Error): void;
  /** For a frontend whose clients meet, whichever threads serve them. */
  readonly thread: ThreadPlace;
  /** Opens sockets. All workers share the addresses that are bound here. */
  readonly network: Pick<Network, "listenStream" | "bindDatagram">;
}

/** An option that holds addresses to listen on. */
export interface Listens<Option extends string = string> {
  /** Its key in YAML. */
  readonly key: string;
  /** Its name in programs. */
  readonly option: Option;
  readonly transport: "tcp" | "udp";
  /** Whether the frontend works without an address of its own. */
  readonly isOptional?: boolean;
}

/** A frontend as a module exports it: creates frontends from the options of a configuration. */
export interface FrontendDefinition<Options = unknown, Input = unknown> {
  /** Name of the frontend in logs; for a built-in frontend also the key of its block. */
  readonly name: string;
  /** One sentence about the frontend, for the comments of a configuration. */
  readonly description?: string;
  /** Schema of the options, such as one made by `options` of `chihaya/options`. Without a schema, there are no options. */
  readonly options?: OptionsSchema<Options, Input>;
  /** Whether a program has the frontend unless its options turn the frontend off. A config always needs a block. */
  readonly byDefault?: boolean;
  /** Packages that must be installed for these options; a check of the configuration looks for them. */
  packages?(options: Options): readonly string[];
  /**
   * Options that hold addresses to listen on. If several workers share the addresses, the main thread first checks that no
   * other process uses them, and chooses the ports that are 0.
   */
  readonly listens?: readonly Listens<keyof Options & string>[];
  /** Options that keep their value if a reload omits them, because they belong to something that only a restart closes. */
  readonly keepsUnset?: readonly string[];
  /** Describes the requests, so that all series of their metrics start at 0. Otherwise a series starts with its first request. */
  readonly requests?: RequestKinds;
  /** Chooses omitted values that all workers must share, such as a secret. */
  complete?(options: Options): Options;
  /**
   * Checks options against each other and against files: in `chihaya check-config`, at each start and each reload. May change
   * the options.
   * @param given  the block as it was written
   */
  check?(options: Options, report: CheckReport, given: Readonly<Record<string, unknown>>): void;
  /** Creates the frontend of one worker, not yet started. An error stops the start of the tracker. */
  create(options: Options, deps: FrontendDeps): Frontend | Promise<Frontend>;
}

/** A definition with the options to create a frontend with. */
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
 * Creates a frontend from its definition.
 * @throws Error (the promise rejects) with the frontend's name and the message of the error of `create`
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

/** Returns the default options of a frontend, except where it listens. */
export function defaultsOf<Options extends { listen: unknown }>(
  definition: FrontendDefinition<Options, Partial<Options>>,
): Omit<Options, "listen"> {
  const { listen: _, ...defaults } = allDefaultsOf(definition);
  return defaults;
}

/** Returns the default options of a built-in frontend. */
export function allDefaultsOf<Options, Input>({ options }: FrontendDefinition<Options, Input>): Options {
  return (options!["~standard"].validate({}) as { value: Options }).value;
}

/** Creates a function that logs why `::` is not bound: the system has no IPv6. */
export function warnOfMissing(logger: Logger): (error: Error) => void {
  return ({ message }) => logger.warn({ reason: message }, "serving without IPv6");
}
