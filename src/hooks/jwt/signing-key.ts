import { type CryptoKey, importJWK, type JWK } from "jose";
import type { JwtAlgorithm } from "./options.ts";

/** A public key of the issuer. */
export interface SigningKey {
  readonly jwk: JWK;
  /** The key for each algorithm that it fits. */
  readonly byAlgorithm: ReadonlyMap<string, CryptoKey>;
  /** Becomes false when the issuer no longer lists the key: its signatures are then invalid. */
  isCurrent: boolean;
}

const leastModulus = 2048;

/** The key type of each algorithm. */
const shapes: Readonly<Record<JwtAlgorithm, { kty: string; crv?: string }>> = {
  RS256: { kty: "RSA" },
  ES256: { kty: "EC", crv: "P-256" },
  EdDSA: { kty: "OKP", crv: "Ed25519" },
};

/**
 * Creates a key from its JSON form, for each allowed algorithm that the key fits.
 * @throws Error that explains why the key is unusable
 */
export async function createSigningKey(jwk: JWK, algorithms: readonly JwtAlgorithm[]): Promise<SigningKey> {
  if (jwk.kid !== undefined && typeof jwk.kid !== "string") throw new Error("has a kid that is not a text");
  if (jwk.d !== undefined || jwk.k !== undefined) throw new Error("is not a public key");
  if (jwk.use !== undefined && jwk.use !== "sig") throw new Error("is not for signatures");
  const byAlgorithm = new Map<string, CryptoKey>();
  for (const algorithm of algorithms) {
    const { kty, crv } = shapes[algorithm];
    if (jwk.kty !== kty || jwk.crv !== crv || (jwk.alg ?? algorithm) !== algorithm) continue;
    const key = (await importJWK(jwk, algorithm)) as CryptoKey;
    const { modulusLength = leastModulus } = key.algorithm as { modulusLength?: number };
    if (modulusLength < leastModulus) throw new Error(`has fewer than ${leastModulus} bits`);
    byAlgorithm.set(algorithm, key);
  }
  if (byAlgorithm.size === 0) throw new Error("is for none of the allowed algorithms");
  return { jwk, byAlgorithm, isCurrent: true };
}
