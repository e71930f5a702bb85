import type { Logger } from "../../../observability/logger.ts";
import type { Pair } from "../mysql/batch-rows.ts";
import { valueLists } from "../mysql/bulk.ts";
import type { Ledger } from "../mysql/ledger.ts";
import type { Mysql, Transaction } from "../mysql/mysql.ts";

/** Tokens of one call, which the site gets in the query. */
const mostTokens = 20;
/** Milliseconds for one call, and seconds between calls after a failure. */
const [callMs, retrySeconds] = [10_000, 30];

/** The collaborators of {@link UsedTokens}. */
export interface UsedTokensDeps {
  mysql: Mysql;
  ledger: Ledger;
  /** Where the site is, without `tools.php`. */
  url: string;
  /** `TRACKER_SECRET` of the site. */
  secret: string;
  logger: Logger;
  /** Returns seconds since 1970. */
  now(): number;
}

/**
 * Calls What.CD's `tools.php` for each freeleech token whose download is complete, as Ocelot does. A token is noted in the transaction that
 * counts the download, and the note goes when the site has responded, so no token is lost. A call may be repeated; the site then changes
 * nothing.
 */
export class UsedTokens {
  readonly #deps: UsedTokensDeps;
  readonly #table: string;
  readonly #ended = new AbortController();
  #isOpen = false;
  #nextAt = 0;
  #sending: Promise<void> | undefined;

  constructor(deps: UsedTokensDeps) {
    this.#deps = deps;
    this.#table = deps.ledger.tables.usedTokens;
  }

  /** Creates the table, if it is not there. Call it when the ledger is open. */
  async open(): Promise<void> {
    if (this.#isOpen) return;
    await this.#deps.mysql.rows(
      `CREATE TABLE IF NOT EXISTS ${this.#table} (user_id INT UNSIGNED NOT NULL, torrent_id INT UNSIGNED NOT NULL, ` +
        "PRIMARY KEY (user_id, torrent_id)) ENGINE=InnoDB",
    );
    this.#isOpen = true;
  }

  /** Notes tokens as part of a transaction. */
  async note(transaction: Transaction, tokens: readonly Pair[]): Promise<void> {
    if (tokens.length === 0) return;
    await transaction.run(
      `INSERT IGNORE INTO ${this.#table} (user_id, torrent_id) VALUES ${valueLists(tokens.map(({ user, torrent }) => [user, torrent]))}`,
    );
  }

  /** Calls the site for all tokens that are noted, unless a call is under way or has just failed. Never rejects. */
  send(): Promise<void> {
    if (!this.#ended.signal.aborted && this.#deps.now() >= this.#nextAt)
      this.#sending ??= this.#send().finally(() => {
        this.#sending = undefined;
      });
    return this.#sending ?? Promise.resolve();
  }

  /** Ends a call that is under way. Its tokens stay noted. */
  async close(): Promise<void> {
    this.#ended.abort();
    await this.#sending;
  }

  async #send(): Promise<void> {
    const { mysql, logger, now } = this.#deps;
    try {
      await this.open();
      for (;;) {
        const rows = await mysql.rows(
          `SELECT user_id, torrent_id FROM ${this.#table} ORDER BY user_id, torrent_id LIMIT ${mostTokens}`,
        );
        if (rows.length === 0) return;
        const tokens = rows.map((row) => ({ user: Number(row.user_id), torrent: Number(row.torrent_id) }));
        await this.#call(tokens);
        const isIt = tokens.map(() => "(user_id = ? AND torrent_id = ?)").join(" OR ");
        await mysql.transaction((transaction) =>
          transaction.run(
            `DELETE FROM ${this.#table} WHERE ${isIt}`,
            tokens.flatMap(({ user, torrent }) => [user, torrent]),
          ),
        );
      }
    } catch (err) {
      if (this.#ended.signal.aborted) return;
      this.#nextAt = now() + retrySeconds;
      logger.warn({ err }, `the site was not called for used tokens, and will be: ${(err as Error).message}`);
    }
  }

  /** @throws Error without the secret, unless the site responds with status 200 */
  async #call(tokens: readonly Pair[]): Promise<void> {
    const { url, secret } = this.#deps;
    const page = new URL(url);
    page.pathname = `${page.pathname.replace(/\/$/, "")}/tools.php`;
    page.search = page.hash = "";
    const list = tokens.map(({ user, torrent }) => `${user}:${torrent}`).join(",");
    const query = `key=${secret}&type=expiretoken&action=ocelot&tokens=${list}`;
    const response = await fetch(`${page}?${query}`, {
      redirect: "error",
      signal: AbortSignal.any([AbortSignal.timeout(callMs), this.#ended.signal]),
    }).catch((cause) => {
      const reason = (cause as { cause?: Error }).cause?.message ?? (cause as Error).message;
      throw new Error(`${page} does not respond: ${reason}`);
    });
    await response.body?.cancel();
    if (response.status !== 200) throw new Error(`${page} responded with status ${response.status}`);
  }
}
