import { toHex } from "../bittorrent/info-hash.ts";
import type {
  DirectoryChange,
  DirectoryClient,
  DirectoryGrant,
  DirectoryGroup,
  DirectorySize,
  DirectoryTorrent,
  DirectoryUser,
} from "./directory-records.ts";
import { Factors, packEnd, packFactors } from "./factors.ts";
import { SharedTable, type TableShape } from "./shared-table.ts";

/** Flags of a user in the directory. */
export const UserFlag = { enabled: 1, canLeech: 2, hidden: 4 } as const;

/** The values of the tables, by their words. */
export const User = { id: 0, flags: 1, group: 2 } as const;
export const Torrent = { id: 0, factors: 1, until: 2, refusal: 3 } as const;
/** `slots` is the limit and 1, or 0 without a limit. */
const Group = { factors: 0, until: 1, slots: 2 } as const;
const Grant = { factors: 0, until: 1 } as const;
const Client = { rule: 0, lengths: 1 } as const;
const Rule = { allow: 1, deny: 2 } as const;

type TableName = "users" | "torrents" | "groups" | "grants" | "clients";

/** The longest prefix of a peer id. */
const prefixLength = 20;
const prefixWords = prefixLength / 4;

const shapes: Readonly<Record<TableName, TableShape>> = {
  users: { key: 8, values: 3 },
  torrents: { key: 5, values: 4 },
  groups: { key: 1, values: 3 },
  grants: { key: 2, values: 2 },
  /** A key is a prefix, zero padded, and its length. The key of length 0 has in `lengths` a bit for each length that exists. */
  clients: { key: prefixWords + 1, values: 2 },
};

/** The memory of a {@link Directory}. */
export type DirectoryMemory = Readonly<Record<TableName, SharedArrayBuffer>>;

/**
 * The users and torrents of the site with its rules, in memory that all threads share. The accountant writes; workers read.
 * A method of the form `put*` returns whether there was room.
 */
export class Directory {
  /** Passkeys with the values {@link User}. */
  readonly users: SharedTable;
  /** Infohashes with the values {@link Torrent}. */
  readonly torrents: SharedTable;
  readonly memory: DirectoryMemory;
  /** Whether the last {@link factors} have a grant for this very user and torrent. */
  isToken = false;
  readonly #groups: SharedTable;
  readonly #grants: SharedTable;
  readonly #clients: SharedTable;
  readonly #factors = new Factors();
  readonly #grant = new Int32Array(2);
  readonly #group = new Int32Array(1);
  readonly #prefix = new Int32Array(prefixWords + 1);
  readonly #prefixBytes: Uint8Array = new Uint8Array(this.#prefix.buffer);

  constructor(memory: DirectoryMemory) {
    this.memory = memory;
    const open = (name: TableName) => new SharedTable(shapes[name], memory[name]);
    this.users = open("users");
    this.torrents = open("torrents");
    this.#groups = open("groups");
    this.#grants = open("grants");
    this.#clients = open("clients");
  }

  /** Creates an empty directory. */
  static create({ users, torrents, groups = 0, grants = 0, clients = 0 }: DirectorySize): Directory {
    const create = (name: TableName, count: number) => SharedTable.create(shapes[name], count).memory;
    return new Directory({
      users: create("users", users),
      torrents: create("torrents", torrents),
      groups: create("groups", groups),
      grants: create("grants", grants),
      clients: create("clients", clients),
    });
  }

  /** Makes a change of the site. @returns whether there was room for all of it */
  apply({ passkeys, infoHashes, users, torrents, grants = [], groups, clients }: DirectoryChange): boolean {
    // A record that is replaced stays there meanwhile: a worker that looks just then must not refuse the announce.
    const keptPasskeys = new Set(users.map(({ passkey }) => passkey));
    for (const passkey of passkeys) if (!keptPasskeys.has(passkey)) this.removePasskey(passkey);
    const kept = new Set(torrents.flatMap(({ infoHashes }) => infoHashes.map((each) => toHex(each))));
    for (const infoHash of infoHashes) if (!kept.has(toHex(infoHash))) this.removeInfoHash(infoHash);
    for (const { user, torrent, isRemoved } of grants) if (isRemoved) this.removeGrant(user, torrent);
    return (
      users.every((user) => this.putUser(user)) &&
      torrents.every((torrent) => this.putTorrent(torrent)) &&
      grants.every((grant) => grant.isRemoved || this.putGrant(grant)) &&
      (groups === undefined || this.setGroups(groups)) &&
      (clients === undefined || this.setClients(clients))
    );
  }

  /** Adds or replaces a user. */
  putUser({ id, passkey, isEnabled, canLeech, isHidden, group = 0 }: DirectoryUser): boolean {
    const flags =
      (isEnabled ? UserFlag.enabled : 0) |
      (canLeech ? UserFlag.canLeech : 0) |
      (isHidden ? UserFlag.hidden : 0);
    return this.users.put(wordsOf(Buffer.from(passkey, "latin1")), 0, [id, flags, group]);
  }

  removePasskey(passkey: string): void {
    this.users.remove(wordsOf(Buffer.from(passkey, "latin1")), 0);
  }

  /** Adds or replaces a torrent. */
  putTorrent({ id, infoHashes, up = 100, down = 100, until, refusal = 0 }: DirectoryTorrent): boolean {
    const values = [id, packFactors({ up, down }), packEnd({ until }), refusal];
    return infoHashes.every((infoHash) => this.torrents.put(wordsOf(infoHash), 0, values));
  }

  removeInfoHash(infoHash: Uint8Array): void {
    this.torrents.remove(wordsOf(infoHash), 0);
  }

  /** Adds or replaces a grant. */
  putGrant({ user, torrent, ...source }: DirectoryGrant): boolean {
    return this.#grants.put(Int32Array.of(user, torrent), 0, [packFactors(source), packEnd(source)]);
  }

  removeGrant(user: number, torrent: number): void {
    this.#grants.remove(Int32Array.of(user, torrent), 0);
  }

  /** Replaces all groups. @returns whether there was room */
  setGroups(groups: readonly DirectoryGroup[]): boolean {
    const ids = new Set(groups.map(({ id }) => id | 0));
    for (const key of this.#groups.keys()) if (!ids.has(key[0]!)) this.#groups.remove(key, 0);
    return groups.every(({ id, slots, ...source }) =>
      this.#groups.put(Int32Array.of(id), 0, [
        packFactors(source),
        packEnd(source),
        slots === undefined ? 0 : slots + 1,
      ]),
    );
  }

  /** Replaces all rules about clients. @returns whether there was room */
  setClients(rules: readonly DirectoryClient[]): boolean {
    const clients = rules.filter(({ prefix }) => prefix.length > 0 && prefix.length <= prefixLength);
    const keys = clients.map(({ prefix }) => prefixKey(prefix));
    let lengths = 0;
    for (const key of keys) lengths |= 1 << key[prefixWords]!;
    const rest = clients.some(({ isAllowed }) => isAllowed) ? Rule.deny : Rule.allow;
    // First the rules that are there now, so that a client of both lists is never without its rule.
    const hasRoom =
      clients.every(({ isAllowed }, i) =>
        this.#clients.put(keys[i]!, 0, [isAllowed ? Rule.allow : Rule.deny, 0]),
      ) && this.#clients.put(prefixKey(new Uint8Array(0)), 0, [rest, lengths]);
    const known = new Set(keys.map(String));
    for (const key of this.#clients.keys())
      if (key[prefixWords] !== 0 && !known.has(String(key))) this.#clients.remove(key, 0);
    return hasRoom;
  }

  /**
   * Tells whether the site lets a client in: the longest prefix with a rule decides. Without one, the client is let in unless
   * some rule allows clients.
   */
  allowsClient(peerId: Uint8Array): boolean {
    const clients = this.#clients;
    if (clients.isUnused) return true;
    const { values } = clients;
    this.#prefix.fill(0);
    if (!clients.find(this.#prefix, 0)) return true;
    const [rest, lengths] = [values[Client.rule]!, values[Client.lengths]!];
    this.#prefixBytes.set(peerId);
    for (let length = prefixLength; length > 0; length--) {
      if ((lengths & (1 << length)) !== 0) {
        this.#prefix[prefixWords] = length;
        if (clients.find(this.#prefix, 0)) return values[Client.rule] === Rule.allow;
      }
      this.#prefixBytes[length - 1] = 0;
    }
    return rest === Rule.allow;
  }

  /** Returns how many torrents a user of a group may download at the same time. */
  slotsOf(group: number): number {
    this.#group[0] = group;
    if (group === 0 || !this.#groups.find(this.#group, 0)) return Number.POSITIVE_INFINITY;
    const slots = this.#groups.values[Group.slots]!;
    return slots === 0 ? Number.POSITIVE_INFINITY : slots - 1;
  }

  /**
   * Returns the factors of the user and the torrent that {@link users} and {@link torrents} have found last, as
   * {@link packFactors} packs them: of the torrent, of the user's group and of grants. @param now  seconds since 1970
   */
  factors(now: number): number {
    const factors = this.#factors;
    const user = this.users.values;
    const torrent = this.torrents.values;
    factors.reset();
    factors.add(torrent[Torrent.factors]!, torrent[Torrent.until]!, now);
    this.#group[0] = user[User.group]!;
    if (this.#group[0] !== 0 && this.#groups.find(this.#group, 0)) {
      const { values } = this.#groups;
      factors.add(values[Group.factors]!, values[Group.until]!, now);
    }
    this.isToken = false;
    if (this.#grants.isUnused) return factors.packed;
    this.#addGrant(0, 0, now);
    this.#addGrant(user[User.id]!, 0, now);
    this.#addGrant(0, torrent[Torrent.id]!, now);
    this.isToken = this.#addGrant(user[User.id]!, torrent[Torrent.id]!, now);
    return factors.packed;
  }

  /** @returns whether there is a grant that has not ended */
  #addGrant(user: number, torrent: number, now: number): boolean {
    this.#grant[0] = user;
    this.#grant[1] = torrent;
    const grants = this.#grants;
    if (!grants.find(this.#grant, 0)) return false;
    return this.#factors.add(grants.values[Grant.factors]!, grants.values[Grant.until]!, now);
  }
}

/** Returns the key of a prefix in the table of clients. */
function prefixKey(prefix: Uint8Array): Int32Array {
  const key = new Int32Array(prefixWords + 1);
  new Uint8Array(key.buffer).set(prefix.subarray(0, prefixLength));
  key[prefixWords] = Math.min(prefix.length, prefixLength);
  return key;
}

function wordsOf(bytes: Uint8Array): Int32Array {
  return new Int32Array(new Uint8Array(bytes).buffer);
}
