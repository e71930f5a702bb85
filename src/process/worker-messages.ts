import type { Config } from "../config/config.ts";
import type { LogFields, Logger } from "../observability/logger.ts";
import type { ShareTell } from "../tracker/share-hub.ts";

/** What a worker thread is started with. */
export interface WorkerStart {
  /** What the workers run with. */
  config: Config;
  /** What the stores of all workers share, if anything. */
  memory: unknown;
  /** Names the thread in the locks of the memory; no two threads ever have the same. */
  owner: number;
  /** Its number among the workers, from 1, which its successor will have too. The first does what is done once for all. */
  number: number;
  /** Whether it says what it finds out at its start; all workers would say the same. */
  speaks: boolean;
  /** What hooks have published so far. */
  published: ReadonlyMap<string, unknown>;
  /** Where its network notes the descriptors that it has open; undefined where the native engine does not run. */
  descriptors: Uint8Array | undefined;
}

/** What the supervisor asks of a worker; answered by a {@link Reply} with the same `id`. */
export type Ask = { id: number } & (
  | { ask: "reload"; config: Config }
  | { ask: "scrape" }
  | { ask: "readiness" }
  | { ask: "stop"; deadline: number }
  | { ask: "profile"; seconds: number }
  | { ask: "end profile" }
);

/** What a worker tells the supervisor. */
export type Tell =
  | { tell: "started"; urls: string[] }
  | { tell: "log"; level: keyof Logger; fields: LogFields; message: string }
  | ShareTell
  | Reply;

/** The answer to an {@link Ask}; the error is what was wrong with the question. */
export type Reply = { tell: "reply"; id: number } & ({ value: unknown } | { error: string });
