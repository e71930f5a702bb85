import { AnnounceEvent } from "../../src/bittorrent/event.ts";
import { createRandom } from "../../src/lib/clock.ts";
import { emptyAnnounce } from "../../src/private/accounting/batch.ts";
import { Sessions } from "../../src/private/accounting/sessions.ts";
import { Field, type Records, recordWords } from "../../src/private/record.ts";
import type { OpenDatabase, SqlValue } from "../../src/private/sites/sql/database.ts";

/** Clients that announce often, and the share of announces that comes from them: one in eight. */
const [hotClients, hotShare] = [1000, 8];
/** One client in ten downloads, and one announce in fifty is the end of a run. */
const [leecherShare, stopShare] = [10, 50];

/** The size of a private site for a benchmark. */
export interface PrivatePopulation {
  users: number;
  torrents: number;
  /** Clients that announce in turn, each for one user and torrent. */
  clients: number;
  /** Announces per second of the simulated time. */
  rate: number;
}

/** The announces of a private site, as the accountant has judged them. Every announce adds bytes. */
export class PrivateAnnounces {
  readonly #population: PrivatePopulation;
  readonly #sessions = new Sessions({ maxRate: 1e12, maxGap: 4500, idle: 21 * 86_400, active: 6600 });
  readonly #random = createRandom(7);
  readonly #announce = emptyAnnounce();
  readonly #counters: Uint32Array;
  /** 1 while a client's run has not ended. */
  readonly #runs: Uint8Array;
  #count = 0;

  constructor(population: PrivatePopulation) {
    this.#population = population;
    this.#counters = new Uint32Array(population.clients);
    this.#runs = new Uint8Array(population.clients);
  }

  /** Writes the next announces to the first `count` records. */
  write(records: Records, count: number): void {
    for (let i = 0; i < count; i++) {
      this.#write(records, i, this.#next());
      const announce = records.readAnnounce(i, this.#announce);
      records.complete(i, this.#sessions.apply(announce));
    }
  }

  /** Returns the client that announces next. All of them start before the first one announces again. */
  #next(): number {
    const { clients } = this.#population;
    const count = this.#count++;
    if (count < clients) return count;
    if (this.#random.next() % hotShare === 0) return this.#random.next() % hotClients;
    return count % clients;
  }

  #write(records: Records, index: number, client: number): void {
    const { users, torrents, rate } = this.#population;
    const at = index * recordWords;
    const { words, bytes } = records;
    const isRunning = this.#runs[client] === 1;
    const isEnd = isRunning && this.#random.next() % stopShare === 0;
    this.#runs[client] = isEnd ? 0 : 1;
    const event = isEnd ? AnnounceEvent.stopped : isRunning ? AnnounceEvent.none : AnnounceEvent.started;
    this.#counters[client]! += 65_536;
    const spread = Math.imul(client, 2_654_435_761) >>> 0;
    words.fill(0, at, at + recordWords);
    words[at + Field.seconds] = 1_800_000_000 + Math.floor(this.#count / rate);
    words[at + Field.user] = 1 + (spread % users);
    words[at + Field.torrent] = 1 + ((Math.imul(client, 40_503) >>> 0) % torrents);
    words[at + Field.what] = event | (4 << 8) | (6881 << 16);
    words[at + Field.counters] = this.#counters[client]! | 0;
    words[at + Field.counters + 4] = client % leecherShare === 0 ? 1 : 0;
    words[at + Field.factors] = 100 | (100 << 16);
    bytes.set(Buffer.from(`-qB4520-${`${client}`.padStart(12, "0")}`, "latin1"), 4 * (at + Field.peerId));
    bytes.set([10, client >>> 16, client >>> 8, client], 4 * (at + Field.address));
  }
}

/** Returns the passkey of a user of {@link fillSite}. */
export function passkeyOf(user: number): string {
  return `${user}`.padStart(32, "0");
}

/** Returns the infohash of a torrent of {@link fillSite}. */
export function infoHashOf(torrent: number): Buffer {
  const infoHash = Buffer.alloc(20);
  infoHash.writeUInt32BE(torrent, 0);
  infoHash.writeUInt32BE((torrent * 2_654_435_761) >>> 0, 4);
  return infoHash;
}

/** Adds users and torrents to the empty tables of a site `sql`. */
export async function fillSite(
  { database }: OpenDatabase,
  { users, torrents }: Pick<PrivatePopulation, "users" | "torrents">,
): Promise<void> {
  const insert = (table: string, columns: string, count: number, row: (id: number) => SqlValue[]) =>
    database.transaction(async (transaction) => {
      for (let id = 1; id <= count; ) {
        const rows: SqlValue[][] = [];
        for (; id <= count && rows.length < 1000; id++) rows.push(row(id));
        const list = rows.map((one) => `(${one.map(() => "?").join(", ")})`).join(", ");
        await transaction.run(`INSERT INTO ${table} (${columns}) VALUES ${list}`, rows.flat());
      }
    });
  await insert("users", "name, passkey", users, (id) => [`user ${id}`, passkeyOf(id)]);
  await insert("torrents", "info_hash", torrents, (id) => [infoHashOf(id)]);
  await database.transaction((transaction) => transaction.run("DELETE FROM changes"));
}
