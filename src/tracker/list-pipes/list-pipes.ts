import { infoHashLength, parseInfoHash, toHex } from "../../bittorrent/info-hash.ts";
import { torrentApproval } from "../../hooks/torrent-approval/index.ts";
import { approval, createTorrentApproval } from "../../hooks/torrent-approval/torrent-approval.ts";
import { Pace } from "../../lib/pace.ts";
import { SharedRun } from "../../lib/shared-run.ts";
import { keyListKind } from "../../middleware/access-list/key-approval.ts";
import { KeyEdits, maxEdits } from "../../middleware/access-list/list-edits.ts";
import type { ApprovalOptions } from "../../middleware/access-list/list-options.ts";
import type { HookDefinition } from "../../middleware/define-hook.ts";
import type { Logger } from "../../observability/logger.ts";
import type { Counter, Metrics } from "../../observability/metrics.ts";
import type { PeerStore } from "../../storage/peer-store.ts";
import type { ShareHub } from "../share-hub.ts";
import { PipeReader } from "./pipe-reader.ts";

const { width } = approval;

/** The collaborators of the pipes. */
export interface ListPipesDeps {
  readonly hub: ShareHub;
  readonly store: Pick<PeerStore, "remove">;
  readonly metrics: Metrics;
  readonly logger: Logger;
}

/** Paths of the named pipes; "" for none. */
export interface ListPipesOptions {
  readonly fifoAdd: string;
  readonly fifoDelete: string;
}

/** Pipes that read now, and before them those that they have replaced; of each process or program, in the thread that reads. */
const readers = new WeakMap<ShareHub, ListPipes[]>();

/**
 * Returns the definition of the hook `torrent approval` whose list named pipes change: infohashes from one pipe are added,
 * those from another are removed. The changes win over the list and over the edits of operators, apply in all workers, and
 * end with a reload.
 */
export function approvalWithPipes(
  options: ListPipesOptions,
  deps: ListPipesDeps,
): HookDefinition<ApprovalOptions> {
  return {
    ...torrentApproval,
    async create(lists, hookDeps) {
      const changes = new KeyEdits(await deps.hub.buffer("list pipes", KeyEdits.bytes(width)), width);
      const hook = await createTorrentApproval(lists, hookDeps, changes);
      const pipes = new ListPipes(options, changes, keyListKind(lists) === "whitelist", deps);
      return {
        ...hook,
        async start() {
          await hook.start?.();
          if (deps.hub.isFirst) await pipes.start();
        },
        async stop() {
          pipes.stop();
          await hook.stop?.();
        },
      };
    },
  };
}

/** Returns the key of an infohash that the pipes have taken. */
function keyOf(infoHash: string): Int32Array {
  return new Int32Array(parseInfoHash(infoHash)!.buffer);
}

type Result = "taken" | "invalid" | "full";

/** Reads the pipes and keeps the changes, in one thread. */
class ListPipes {
  readonly #options: ListPipesOptions;
  readonly #changes: KeyEdits;
  readonly #isWhitelist: boolean;
  readonly #deps: ListPipesDeps;
  readonly #count: (pipe: string, result: Result) => Counter;
  /** Whether each infohash, in lower case, is listed. */
  readonly #listed = new Map<string, boolean>();
  /** Infohashes whose swarms are to be removed after the next write. */
  readonly #refused: string[] = [];
  readonly #open: PipeReader[] = [];
  /** Makes the changes effective. Lines that arrive meanwhile are written together afterwards. */
  readonly #writes = new SharedRun(() => this.#write());
  readonly #infoHash = new Uint8Array(infoHashLength);

  constructor(options: ListPipesOptions, changes: KeyEdits, isWhitelist: boolean, deps: ListPipesDeps) {
    this.#options = options;
    this.#changes = changes;
    this.#isWhitelist = isWhitelist;
    this.#deps = deps;
    this.#count = (pipe, result) =>
      deps.metrics.counter(
        "chihaya_list_pipe_lines_total",
        "Lines from the named pipes of the list of torrents",
        {
          ...{ pipe, result },
        },
      );
    for (const pipe of ["add", "delete"])
      for (const result of ["taken", "invalid", "full"] as const) this.#count(pipe, result);
  }

  /** Begins to read, and ends the changes of earlier pipes. */
  async start(): Promise<void> {
    const all = readers.get(this.#deps.hub) ?? [];
    readers.set(this.#deps.hub, all);
    all.at(-1)?.pause();
    all.push(this);
    await this.resume();
  }

  /** Stops reading. If a reload was refused, the earlier pipes read again. */
  stop(): void {
    this.pause();
    const all = readers.get(this.#deps.hub) ?? [];
    const at = all.indexOf(this);
    if (at < 0) return;
    const wasLast = at === all.length - 1;
    all.splice(at, 1);
    const earlier = all.at(-1);
    if (!wasLast || earlier === undefined) return;
    earlier.resume().catch((err) => this.#deps.logger.error({ err }, "named pipe of a list"));
  }

  /** Stops reading until {@link resume}. */
  pause(): void {
    for (const pipe of this.#open.splice(0)) pipe.close();
  }

  /** Makes the own changes effective, and reads. */
  async resume(): Promise<void> {
    const { fifoAdd, fifoDelete } = this.#options;
    await this.#writes.run();
    for (const [path, pipe, isListed] of [
      [fifoAdd, "add", true],
      [fifoDelete, "delete", false],
    ] as const) {
      if (path === "") continue;
      this.#open.push(await PipeReader.open(path, (line) => this.#take(line, pipe, isListed)));
    }
  }

  #take(line: string, pipe: string, isListed: boolean): void {
    const bytes = Buffer.from(line, "latin1");
    const problem = approval.parse(bytes, 0, bytes.length, this.#infoHash);
    const infoHash = toHex(this.#infoHash);
    const isFull = !this.#listed.has(infoHash) && this.#listed.size >= maxEdits;
    const result = problem !== undefined ? "invalid" : isFull ? "full" : "taken";
    this.#count(pipe, result).inc();
    if (result !== "taken") return;
    this.#listed.set(infoHash, isListed);
    if (isListed !== this.#isWhitelist) this.#refused.push(infoHash);
    void this.#writes.run().catch((err) => this.#deps.logger.error({ err }, "named pipe of a list"));
  }

  async #write(): Promise<void> {
    const refused = this.#refused.splice(0);
    await new Pace().run(this.#changes.write(this.#listed, keyOf));
    for (const infoHash of refused) {
      if (this.#listed.get(infoHash) !== this.#isWhitelist)
        await this.#deps.store.remove(parseInfoHash(infoHash)!);
    }
  }
}
