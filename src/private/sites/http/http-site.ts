import type { Batch } from "../../accounting/batch.ts";
import type { Applied } from "../../site.ts";
import type { OpenDatabase } from "../sql/database.ts";
import { SqlSite } from "../sql/sql-site.ts";
import { renderBatch } from "./batch-json.ts";
import { signWebhook } from "./sign-webhook.ts";

/** Milliseconds for one batch. A site that has stalled reports no error. */
const requestMs = 60_000;
/** Characters of a response that an error shows. */
const shownText = 200;

/** The collaborators and options of an {@link HttpSite}. */
export interface HttpSiteParts {
  /** Has users and torrents, and notes the last record that the site has confirmed. */
  open: OpenDatabase;
  url: string;
  /** Signs requests. */
  key: Buffer;
}

/**
 * A site of any software, which takes traffic as signed requests (Standard Webhooks) and keeps the ledger itself. A request has the
 * sums of the records after `from` up to `to`. The site responds with the number of its last record, `{"applied": to}`; if it has
 * another record than `from` before the request, it adds nothing and responds with that one.
 */
export class HttpSite extends SqlSite {
  readonly #url: string;
  readonly #key: Buffer;

  constructor({ open, url, key }: HttpSiteParts) {
    super(open);
    this.#url = url;
    this.#key = key;
  }

  override async apply(instance: string, batch: Batch): Promise<Applied> {
    const last = await this.lastApplied(instance);
    if (last !== batch.from) return { isApplied: false, last: last ?? 0 };
    const applied = await this.#send(instance, batch);
    await this.note(instance, applied);
    return applied === batch.to ? { isApplied: true, quarantined: 0 } : { isApplied: false, last: applied };
  }

  /** The site itself knows which peers have gone. */
  override async expirePeers(): Promise<void> {}

  /** @returns the last record that the site has @throws Error if the site is away, or responds otherwise */
  async #send(instance: string, batch: Batch): Promise<number> {
    const body = renderBatch(instance, batch);
    const id = `${instance}:${batch.from}-${batch.to}`;
    const headers = signWebhook(this.#key, id, Math.floor(Date.now() / 1000), body);
    const response = await fetch(this.#url, {
      ...{ method: "POST", body, redirect: "error" as const, signal: AbortSignal.timeout(requestMs) },
      headers: { ...headers, "content-type": "application/json" },
    }).catch((cause) => {
      const reason = (cause as { cause?: Error }).cause?.message ?? (cause as Error).message;
      throw new Error(`the site does not respond: ${reason}`, { cause });
    });
    const text = await response.text();
    const applied = response.ok ? readApplied(text) : undefined;
    if (applied !== undefined) return applied;
    const shown = text.slice(0, shownText).replace(/[^ -~]/g, "?");
    throw new Error(
      `the site responded with status ${response.status} and ${JSON.stringify(shown)}, not with {"applied": ${batch.to}}`,
    );
  }
}

function readApplied(text: string): number | undefined {
  try {
    const { applied } = JSON.parse(text) as { applied?: unknown };
    return Number.isSafeInteger(applied) && (applied as number) >= 0 ? (applied as number) : undefined;
  } catch {
    return undefined;
  }
}
