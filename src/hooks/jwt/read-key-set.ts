import type { JWK } from "jose";
import { cannotRead } from "../../lib/file-errors.ts";
import { openFile } from "../../lib/open-file.ts";
import { explainStatus } from "../../middleware/access-list/list-source.ts";

/** The outside sources of keys; tests pass others. */
export interface KeySetSources {
  fetch: (
    url: string,
    init: { signal: AbortSignal; headers: Record<string, string>; redirect: "manual" },
  ) => Promise<Response>;
}

/** Maximum length of a document with keys, in bytes. */
export const maxKeySetLength: number = 256 * 1024;

/**
 * Fetches the JSON Web Key Set at an http(s) URL. Refuses redirects, because the target could then choose who signs
 * tokens.
 * @throws Error for a status other than 2xx, a document that is too long, and a document that is not a key set
 */
export async function fetchKeySet(
  url: string,
  signal: AbortSignal,
  { fetch }: KeySetSources,
): Promise<JWK[]> {
  const response = await fetch(url, {
    signal,
    headers: { accept: "application/jwk-set+json, application/json" },
    redirect: "manual",
  });
  if (!response.ok) {
    await response.body?.cancel();
    throw new Error(explainStatus(response.status));
  }
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of response.body ?? []) {
    length += part.length;
    if (length > maxKeySetLength) throw new Error(tooLong); // leaving the loop cancels the rest
    parts.push(part);
  }
  return parseKeySet(Buffer.concat(parts).toString());
}

/** Reads the JSON Web Key Set of a file. @throws Error as {@link fetchKeySet} does */
export async function readKeySet(path: string): Promise<JWK[]> {
  const file = await openFile(path).catch((error: Error) => {
    throw new Error(cannotRead(path, error.message), { cause: error });
  });
  try {
    const bytes = Buffer.alloc(maxKeySetLength + 1);
    let length = 0;
    for (;;) {
      const { bytesRead } = await file.read(bytes, length, bytes.length - length);
      length += bytesRead;
      if (length > maxKeySetLength) throw new Error(tooLong);
      if (bytesRead === 0) return parseKeySet(bytes.toString("utf8", 0, length));
    }
  } finally {
    await file.close();
  }
}

const tooLong = `longer than ${maxKeySetLength} bytes`;

/** Parses the JSON of a key set, which may begin with a byte order mark. @throws Error that describes the problem */
export function parseKeySet(text: string): JWK[] {
  let document: unknown;
  try {
    document = JSON.parse(text.replace(/^\ufeff/, ""));
  } catch {
    throw new Error("not JSON"); // the cause would quote the text, which may be a secret
  }
  const { keys } = (document ?? {}) as { keys?: unknown };
  if (!Array.isArray(keys)) throw new Error('not a JSON Web Key Set: the list "keys" is missing');
  return keys.filter((key) => typeof key === "object" && key !== null);
}
