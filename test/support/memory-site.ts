import type { Batch } from "../../src/private/accounting/batch.ts";
import type {
  DirectoryChange,
  DirectorySize,
  DirectoryTorrent,
  DirectoryUser,
} from "../../src/private/directory-records.ts";
import type { Applied, Site } from "../../src/private/site.ts";

/** A site in memory, with one torrent. Survives the accountants that use it. */
export class MemorySite implements Site {
  readonly #users: DirectoryUser[];
  /** Bytes uploaded by each user. */
  uploaded: Map<number, number> = new Map();
  /** The ledger, and what a transaction throws, if anything. */
  applied: { instance: string; sequence: number } | undefined;
  failure: Error | undefined;
  change: DirectoryChange | undefined;

  constructor(users: number) {
    this.#users = Array.from({ length: users }, (_, n) => MemorySite.user(n + 1));
  }

  static user(id: number): DirectoryUser {
    const passkey = `${id}`.padStart(32, "0");
    return { id, passkey, isEnabled: true, canLeech: true, isHidden: false };
  }

  /** Puts a backup in the place of what the site has. */
  restore({ uploaded, applied }: Pick<MemorySite, "uploaded" | "applied">): void {
    this.uploaded = new Map(uploaded);
    this.applied = applied;
  }

  open(): void {}

  async size(): Promise<DirectorySize> {
    if (this.failure !== undefined) throw this.failure;
    return { users: this.#users.length, torrents: 1 };
  }

  async *users(): AsyncIterable<DirectoryUser> {
    yield* this.#users;
  }

  async *torrents(): AsyncIterable<DirectoryTorrent> {
    yield { id: 1, infoHashes: [new Uint8Array(20)], up: 100, down: 100 };
  }

  async changes(): Promise<DirectoryChange | undefined> {
    const { change } = this;
    this.change = undefined;
    return change;
  }

  async lastApplied(instance: string): Promise<number | undefined> {
    if (this.failure !== undefined) throw this.failure;
    if (this.applied === undefined) return 0;
    return this.applied.instance === instance ? this.applied.sequence : undefined;
  }

  async apply(instance: string, batch: Batch): Promise<Applied> {
    const last = await this.lastApplied(instance);
    if (last !== batch.from) return { isApplied: false, last: last! };
    for (const { user, creditedUploaded } of batch.users)
      this.uploaded.set(user, (this.uploaded.get(user) ?? 0) + Number(creditedUploaded) / 100);
    this.applied = { instance, sequence: batch.to };
    return { isApplied: true, quarantined: 0 };
  }

  async expirePeers(_activeAfter: number, _keptAfter: number): Promise<void> {}

  async close(): Promise<void> {}
}
