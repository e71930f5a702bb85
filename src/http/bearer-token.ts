import { createHash, timingSafeEqual } from "node:crypto";

/** Returns the bearer token of a request (RFC 6750); undefined without one. */
export function readBearerToken(headers: ReadonlyMap<string, string>): string | undefined {
  return /^bearer +([^ ,]+)$/i.exec(headers.get("authorization") ?? "")?.[1];
}

/** Returns the SHA-256 hash of a token: 32 bytes. */
export function hashToken(token: string): Buffer {
  return createHash("sha256").update(token, "latin1").digest();
}

/**
 * Finds a token by its hash. Takes as long for a wrong token as for any other.
 * @param hashes  see {@link hashToken}
 * @returns the index of the token's hash, or -1
 */
export function findToken(token: string, hashes: readonly Uint8Array[]): number {
  const hash = hashToken(token);
  let found = -1;
  for (const [index, known] of hashes.entries()) if (timingSafeEqual(hash, known)) found = index;
  return found;
}
