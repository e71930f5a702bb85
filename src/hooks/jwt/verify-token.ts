import { decodeProtectedHeader, errors, jwtVerify } from "jose";
import { parseInfoHash } from "../../bittorrent/info-hash.ts";
import type { JwtOptions } from "./options.ts";
import type { SigningKey } from "./signing-key.ts";

/** The name of the key whose JSON has no `kid`. It signs the tokens without a `kid`. */
export const withoutKid = "";

/** The permission in a valid token. */
export interface Approval {
  /** The infohash as five words in machine order. */
  readonly infoHashWords: Int32Array;
  /** Seconds since 1970, leeway included; Infinity if the token does not expire. */
  readonly until: number;
  readonly key: SigningKey;
}

/** The reason for refusing a token, as the metric's label. */
export type Refusal =
  | "malformed"
  | "algorithm"
  | "unknown_key"
  | "signature"
  | "claims"
  | "expired"
  | "overloaded";

/**
 * Verifies a token: its signature, `iss`, `aud`, `exp` and `nbf`, and that it names an infohash.
 * @param findKey  finds a key by its id, or {@link withoutKid}; may wait for the key
 */
export async function verifyToken(
  token: string,
  options: JwtOptions,
  unixSeconds: number,
  findKey: (kid: string) => Promise<SigningKey | Refusal>,
): Promise<Approval | Refusal> {
  try {
    const { alg = "", kid = withoutKid } = decodeProtectedHeader(token);
    if (!options.algorithms.some((allowed) => allowed === alg)) return "algorithm";
    if (typeof kid !== "string") return "unknown_key";
    const key = await findKey(kid);
    if (typeof key === "string") return key;
    const cryptoKey = key.byAlgorithm.get(alg);
    if (cryptoKey === undefined) return "algorithm";
    const { payload } = await jwtVerify(token, cryptoKey, {
      algorithms: [alg],
      issuer: options.issuer,
      audience: options.audience,
      clockTolerance: options.leeway,
      currentDate: new Date(unixSeconds * 1000),
    });
    const infoHash = typeof payload.infohash === "string" ? parseInfoHash(payload.infohash) : undefined;
    if (infoHash === undefined) return "claims";
    const until = payload.exp === undefined ? Number.POSITIVE_INFINITY : payload.exp + options.leeway;
    return { infoHashWords: new Int32Array(infoHash.buffer), until, key };
  } catch (error) {
    return refusalOf(error);
  }
}

function refusalOf(error: unknown): Refusal {
  if (error instanceof errors.JWTExpired) return "expired";
  if (error instanceof errors.JWTClaimValidationFailed) return "claims";
  if (error instanceof errors.JWSSignatureVerificationFailed) return "signature";
  return "malformed";
}
