import type {
  DirectoryChange,
  DirectoryClient,
  DirectoryGrant,
  DirectoryGroup,
  DirectoryTorrent,
  DirectoryUser,
} from "../directory-records.ts";

/** Seconds for which a call of the site outweighs its database, which may get the same change later. */
const settleSeconds = 60;

/** A change of the site while it is collected. */
export class Change implements DirectoryChange {
  readonly passkeys: string[] = [];
  readonly infoHashes: Uint8Array[] = [];
  readonly users: DirectoryUser[] = [];
  readonly torrents: DirectoryTorrent[] = [];
  readonly grants: (DirectoryGrant & { isRemoved?: boolean })[] = [];
  groups?: readonly DirectoryGroup[];
  clients?: readonly DirectoryClient[];

  get isEmpty(): boolean {
    const { passkeys, infoHashes, users, torrents, grants } = this;
    const lists = [passkeys, infoHashes, users, torrents, grants];
    const hasRules = this.groups !== undefined || this.clients !== undefined;
    return !hasRules && lists.every(({ length }) => length === 0);
  }
}

/** How a table of a {@link Mirror} adds to a change. */
interface TableRules<Key, Item> {
  key(item: Item): Key;
  /** The part of an item that other items may not share, such as a passkey. */
  aliases(item: Item): readonly string[];
  put(change: Change, item: Item): void;
  /** @param next  what takes the place of the item; undefined if nothing does */
  remove(change: Change, item: Item, next: Item | undefined): void;
}

/** The records of one kind that the directory has now. */
export class MirrorTable<Key, Item> {
  readonly #rules: TableRules<Key, Item>;
  readonly #items = new Map<Key, Item>();
  readonly #keys = new Map<string, Key>();
  /** When the site's calls changed a record last, in seconds. */
  readonly #called = new Map<Key, number>();

  constructor(rules: TableRules<Key, Item>) {
    this.#rules = rules;
  }

  get size(): number {
    return this.#items.size;
  }

  get(key: Key): Item | undefined {
    return this.#items.get(key);
  }

  /** Finds a record by its passkey or infohash. */
  find(alias: string): Item | undefined {
    const key = this.#keys.get(alias);
    return key === undefined ? undefined : this.#items.get(key);
  }

  values(): Iterable<Item> {
    return this.#items.values();
  }

  /** Adds or replaces a record on behalf of the site. @param now  seconds */
  put(change: Change, item: Item, now: number): void {
    this.#called.set(this.#rules.key(item), now);
    this.#put(change, item);
  }

  /** Removes a record on behalf of the site. */
  remove(change: Change, key: Key, now: number): void {
    this.#called.set(key, now);
    this.#remove(change, key);
  }

  /** Takes a row that the database had at `now`. */
  read(change: Change, item: Item, now: number): void {
    if (this.#isSettled(this.#rules.key(item), now)) this.#put(change, item);
  }

  /** Removes the records whose keys are not in `present`, which the database had at `now`. */
  keep(change: Change, present: ReadonlySet<Key>, now: number): void {
    for (const key of this.#items.keys())
      if (!present.has(key) && this.#isSettled(key, now)) this.#remove(change, key);
    for (const [key, at] of this.#called) if (now - at > settleSeconds) this.#called.delete(key);
  }

  #isSettled(key: Key, now: number): boolean {
    const at = this.#called.get(key);
    return at === undefined || now - at > settleSeconds;
  }

  #put(change: Change, item: Item): void {
    const { key: keyOf, aliases, put, remove } = this.#rules;
    const key = keyOf(item);
    const known = this.#items.get(key);
    if (known !== undefined) {
      if (isSame(known, item)) return;
      remove(change, known, item);
      this.#forget(known, key);
    }
    for (const alias of aliases(item)) {
      const holder = this.#keys.get(alias);
      if (holder !== undefined && holder !== key) this.#remove(change, holder);
      this.#keys.set(alias, key);
    }
    this.#items.set(key, item);
    put(change, item);
  }

  #remove(change: Change, key: Key): void {
    const known = this.#items.get(key);
    if (known === undefined) return;
    this.#items.delete(key);
    this.#forget(known, key);
    this.#rules.remove(change, known, undefined);
  }

  #forget(item: Item, key: Key): void {
    for (const alias of this.#rules.aliases(item))
      if (this.#keys.get(alias) === key) this.#keys.delete(alias);
  }
}

/**
 * What a site with its own software has: the records of the directory by their ids, to find what has changed. Calls of the site and rows of its
 * database both end here.
 */
export class Mirror {
  readonly users: MirrorTable<number, DirectoryUser> = new MirrorTable({
    key: ({ id }) => id,
    aliases: ({ passkey }) => [passkey],
    put: (change, user) => change.users.push(user),
    remove(change, { passkey }, next) {
      if (next?.passkey !== passkey) change.passkeys.push(passkey);
    },
  });
  readonly torrents: MirrorTable<number, DirectoryTorrent> = new MirrorTable({
    key: ({ id }) => id,
    aliases: ({ infoHashes }) => infoHashes.map(hexOf),
    put: (change, torrent) => change.torrents.push(torrent),
    remove(change, { infoHashes }, next) {
      const kept = next?.infoHashes.map(hexOf) ?? [];
      for (const infoHash of infoHashes)
        if (!kept.includes(hexOf(infoHash))) change.infoHashes.push(infoHash);
    },
  });
  readonly groups: MirrorTable<number, DirectoryGroup> = new MirrorTable({
    key: ({ id }) => id,
    aliases: () => [],
    put: (change) => this.#listGroups(change),
    remove: (change) => this.#listGroups(change),
  });
  readonly grants: MirrorTable<string, DirectoryGrant> = new MirrorTable({
    key: grantKey,
    aliases: () => [],
    put: (change, grant) => change.grants.push(grant),
    remove(change, grant, next) {
      if (next === undefined) change.grants.push({ ...grant, isRemoved: true });
    },
  });
  readonly clients: MirrorTable<string, DirectoryClient> = new MirrorTable({
    key: ({ prefix }) => clientKey(prefix),
    aliases: () => [],
    put: (change) => this.#listClients(change),
    remove: (change) => this.#listClients(change),
  });

  #listGroups(change: Change): void {
    change.groups = [...this.groups.values()];
  }

  #listClients(change: Change): void {
    change.clients = [...this.clients.values()];
  }
}

/** Returns the key of a grant. */
export function grantKey({ user, torrent }: { user: number; torrent: number }): string {
  return `${user}:${torrent}`;
}

/** Returns the key of a client rule. */
export function clientKey(prefix: Uint8Array): string {
  return Buffer.from(prefix).toString("latin1");
}

/** Returns an infohash as the tables of a mirror know it. */
export function hexOf(infoHash: Uint8Array): string {
  return Buffer.from(infoHash.buffer, infoHash.byteOffset, infoHash.byteLength).toString("hex");
}

function isSame<Item>(a: Item, b: Item): boolean {
  const [left, right] = [a as Record<string, unknown>, b as Record<string, unknown>];
  const names = new Set([...Object.keys(left), ...Object.keys(right)]);
  return [...names].every((name) => sameValue(left[name], right[name]));
}

function sameValue(a: unknown, b: unknown): boolean {
  if (a instanceof Uint8Array && b instanceof Uint8Array) return hexOf(a) === hexOf(b);
  if (Array.isArray(a) && Array.isArray(b))
    return a.length === b.length && a.every((value, index) => sameValue(value, b[index]));
  return a === b;
}
