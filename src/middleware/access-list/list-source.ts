import type { FileHandle } from "node:fs/promises";
import { openFile } from "../../lib/open-file.ts";

/** A list that has been opened. */
export interface OpenList {
  readonly chunks: AsyncIterable<Uint8Array>;
  /** Called when all has been read. @throws Error where it is not one whole list */
  finish(): Promise<void>;
  /** Called when the list that it is a part of is in use. */
  accept(): void;
  /** Lets go of what is open. */
  close(): Promise<void>;
}

/** `same` is what is in use already; `unknown` is what is wrong as before, or was not asked. */
export type SourceState = OpenList | "same" | "unknown";

/** Where a list comes from. */
export interface ListSource {
  /** For people: a path, or an URL without what may be secret in it. */
  readonly name: string;
  /**
   * Opens it if it may have changed.
   * @param isForced  open it in any case, even if it was just asked
   * @throws Error where it cannot be had
   */
  open(isForced: boolean, signal: AbortSignal): Promise<SourceState>;
}

/** A file: changed if its size, its times or its inode are others. */
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
        if ((await stampOf(file)) !== stamp) throw new Error("it was changed while it was read");
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

/** Milliseconds until an answer must have begun, and until it must be over. */
const beginMs = 30_000;
const transferMs = 300_000;

/** Why an answer with this status is not used. Redirects are not followed: they may lead to where only the tracker can go. */
export function explainStatus(status: number): string {
  const isRedirect = status >= 301 && status <= 308 && status !== 304;
  return isRedirect ? `status ${status}, a redirect: give the URL that it leads to` : `status ${status}`;
}

/** What is behind an `http:` or `https:` URL; asked for at most once in an interval, and only for what has changed. */
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
    const timer = setTimeout(() => late.abort(new Error(`no answer within ${beginMs / 1000} s`)), beginMs);
    const signals = AbortSignal.any([signal, late.signal, AbortSignal.timeout(transferMs)]);
    const headers = isForced ? {} : this.#validators;
    const response = await fetch(this.#url, { headers, signal: signals, redirect: "manual" })
      .catch((error: Error) => {
        const { message } = (error.cause as Error | undefined) ?? error; // of fetch itself it is "fetch failed"
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
