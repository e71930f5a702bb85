import type { FileHandle } from "node:fs/promises";
import { openFile } from "../../lib/open-file.ts";

/** An opened list. */
export interface OpenList {
  readonly chunks: AsyncIterable<Uint8Array>;
  /** Called after the last chunk. @throws Error if the chunks are not one whole list */
  finish(): Promise<void>;
  /** Called when the list with these entries is in use. */
  accept(): void;
  /** Closes the source. */
  close(): Promise<void>;
}

/** `same`: already in use; `unknown`: failing as before, or not checked. */
export type SourceState = OpenList | "same" | "unknown";

/** The source of a list. */
export interface ListSource {
  /** The name in messages: a path, or a URL without secrets. */
  readonly name: string;
  /**
   * Opens the source if it may have changed.
   * @param isForced  opens the source in any case, even right after a check
   * @throws Error if the source is unavailable
   */
  open(isForced: boolean, signal: AbortSignal): Promise<SourceState>;
}

/** A file. It has changed if its size, times or inode differ. */
export class FileSource implements ListSource {
  readonly name: string;
  #seen = "";
  #accepted = "";

  constructor(path: string) {
    this.name = path;
  }

  async open(isForced: boolean): Promise<SourceState> {
    const file = await openFile(this.name).catch((error) => {
      this.#seen = "";
      throw error;
    });
    try {
      const stamp = await stampOf(file);
      if (isForced || stamp !== this.#seen) {
        this.#seen = stamp;
        return this.#opened(file, stamp);
      }
      await file.close();
      return stamp === this.#accepted ? "same" : "unknown";
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  #opened(file: FileHandle, stamp: string): OpenList {
    return {
      chunks: file.createReadStream({ autoClose: false }),
      finish: async () => {
        if ((await stampOf(file)) !== stamp) throw new Error("the file changed while it was read");
      },
      accept: () => {
        this.#accepted = stamp;
      },
      close: () => file.close(),
    };
  }
}

async function stampOf(file: FileHandle): Promise<string> {
  const { dev, ino, size, mtimeNs, ctimeNs } = await file.stat({ bigint: true });
  return [dev, ino, size, mtimeNs, ctimeNs].join();
}

/** Milliseconds until a response must have begun, and until it must have ended. */
const beginMs = 30_000;
const transferMs = 300_000;

/** Explains why a response with this status is not used. Redirects are refused: they may lead to hosts that only the tracker can reach. */
export function explainStatus(status: number): string {
  const isRedirect = status >= 301 && status <= 308 && status !== 304;
  return isRedirect ? `status ${status}, a redirect: give the URL that it leads to` : `status ${status}`;
}

/** An `http:` or `https:` URL, requested at most once per interval, and only for changes. */
export class UrlSource implements ListSource {
  readonly name: string;
  readonly #url: string;
  readonly #intervalMs: number;
  #validators: Record<string, string> = {};
  #dueAt = Number.NEGATIVE_INFINITY;

  constructor(url: string, intervalMs: number) {
    const { origin, pathname } = new URL(url);
    this.name = origin + pathname;
    this.#url = url;
    this.#intervalMs = intervalMs;
  }

  async open(isForced: boolean, signal: AbortSignal): Promise<SourceState> {
    const now = performance.now();
    if (!isForced && now < this.#dueAt) return "unknown";
    this.#dueAt = now + this.#intervalMs;
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(new Error(`no response within ${beginMs / 1000} s`)), beginMs);
    const signals = AbortSignal.any([signal, late.signal, AbortSignal.timeout(transferMs)]);
    const headers = isForced ? {} : this.#validators;
    const response = await fetch(this.#url, { headers, signal: signals, redirect: "manual" })
      .catch((error: Error) => {
        const { message } = (error.cause as Error | undefined) ?? error; // the message of fetch itself is only "fetch failed"
        throw new Error(message.replaceAll(this.#url, this.name), { cause: error });
      })
      .finally(() => clearTimeout(timer));
    const { body, status } = response;
    if (status === 304 && !isForced) return "same";
    if (!response.ok || body === null) {
      await body?.cancel();
      throw new Error(explainStatus(status));
    }
    const [etag, modified] = [response.headers.get("etag"), response.headers.get("last-modified")];
    return {
      chunks: body,
      finish: async () => undefined,
      accept: () => {
        this.#validators = {
          ...(etag !== null && { "if-none-match": etag }),
          ...(modified !== null && { "if-modified-since": modified }),
        };
      },
      close: () => body.cancel().catch(() => undefined),
    };
  }
}
