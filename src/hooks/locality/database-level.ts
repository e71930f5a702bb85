import { stat } from "node:fs/promises";
import { PrefixMap } from "../../ip/prefix-map.ts";
import { cannotRead, explainSystemError } from "../../lib/file-errors.ts";
import { Pace } from "../../lib/pace.ts";
import type { HookDeps } from "../../middleware/define-hook.ts";
import { NetworksLevel } from "./level.ts";
import { type MmdbField, readMmdb } from "./read-mmdb.ts";

/** The message from the first worker to all workers. */
interface Shared {
  file: string;
  field: MmdbField;
  /** Changes when the file changes. */
  version: string;
  memory: SharedArrayBuffer;
}

/**
 * A level of the networks in an MMDB file. The first worker reads a changed file at each start of the hook, into memory
 * that all workers share. The other workers have no neighbours until they receive that memory. If the file is
 * unreadable, the previous networks stay in use.
 */
export class DatabaseLevel extends NetworksLevel {
  readonly #file: string;
  readonly #field: MmdbField;
  readonly #topic: string;
  readonly #deps: Pick<HookDeps, "shared" | "logger">;
  #version: string | undefined;
  #unsubscribe: (() => void) | undefined;

  /** @param number  identifies the level among the others */
  constructor(
    name: string,
    number: number,
    { file, by }: { file: string; by: MmdbField },
    deps: Pick<HookDeps, "shared" | "logger">,
  ) {
    super(name, PrefixMap.empty());
    this.#file = file;
    this.#field = by;
    this.#topic = `database ${number}`;
    this.#deps = deps;
  }

  /** @throws Error if the file is unreadable and there are no previous networks */
  async start(): Promise<void> {
    const { shared } = this.#deps;
    this.#unsubscribe = shared.subscribe(this.#topic, (value) => this.#take(value as Shared));
    if (!shared.isFirst) return;
    try {
      await this.#read();
    } catch (error) {
      if (this.#version === undefined) {
        this.stop();
        throw error;
      }
      this.#deps.logger.error({}, `${(error as Error).message}; the previous networks stay in use`);
    }
  }

  stop(): void {
    this.#unsubscribe?.();
  }

  async #read(): Promise<void> {
    const file = this.#file;
    const field = this.#field;
    const { mtimeMs, size, ino } = await stat(file).catch((cause) => {
      throw new Error(cannotRead(file, explainSystemError(cause)), { cause });
    });
    const version = [mtimeMs, size, ino].join();
    if (version === this.#version) return;
    const pace = new Pace();
    const networks = await readMmdb(file, field, pace);
    const memory = new SharedArrayBuffer(4 * PrefixMap.words(networks.size));
    await pace.run(networks.write(new Int32Array(memory)));
    const { shared, logger } = this.#deps;
    const read: Shared = { file, field, version, memory };
    this.#take(read); // the subscription would deliver the message later
    shared.publish(this.#topic, read);
    logger.info({ file, networks: networks.size }, "database read");
  }

  #take({ file, field, version, memory }: Shared): void {
    if (file !== this.#file || field !== this.#field) return;
    this.map = PrefixMap.in(new Int32Array(memory));
    this.#version = version;
  }
}
