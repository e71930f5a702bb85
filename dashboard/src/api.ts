import type { Stats } from "../../src/operator/api/endpoints/stats.ts";

export type { Stats };

/** Series of the history: the oldest value first, null for unknown. */
export interface Series {
  /** Seconds between two values. */
  readonly step: number;
  /** The second of the newest value, since 1970. */
  readonly end: number;
  readonly series: Readonly<Record<string, readonly (number | null)[]>>;
}

/** Who the API takes this browser for. */
export interface Principal {
  readonly name: string;
  readonly scopes: readonly string[];
}

/** A response that is an error. */
export class ApiError extends Error {
  /** 0 if there was no response. */
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** Sends a request to the listener that served the page. @throws ApiError */
export async function send<T>(method: string, path: string, body?: unknown): Promise<T> {
  // The cookie of a session counts for changes only with X-Requested-With, which other sites cannot send.
  const headers: Record<string, string> = { "x-requested-with": "chihaya" };
  if (body !== undefined) headers["content-type"] = "application/json";
  const init: RequestInit = { method, headers };
  if (body !== undefined) init.body = JSON.stringify(body);
  const response = await fetch(path, init).catch(() => undefined);
  if (response === undefined) throw new ApiError(0, "the tracker does not respond");
  const text = await response.text().catch(() => "");
  const content = parse(text);
  if (response.ok) return content as T;
  const { detail } = (content ?? {}) as { detail?: unknown };
  throw new ApiError(response.status, typeof detail === "string" ? detail : `status ${response.status}`);
}

/** Reads a resource of the API. @param path  below /api/v1 @throws ApiError */
export function read<T>(path: string): Promise<T> {
  return send<T>("GET", `/api/v1${path}`);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
