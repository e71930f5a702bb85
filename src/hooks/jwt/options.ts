/** Signature algorithms that the option can allow. */
export type JwtAlgorithm = "RS256" | "ES256" | "EdDSA";

/** The options of the hook `jwt`; all times are seconds. */
export interface JwtOptions {
  /** Required value of the claim `iss`. */
  issuer: string;
  /** Value that the claim `aud` must equal or contain. */
  audience: string;
  /**
   * Source of the issuer's public keys (RFC 7517): an http(s) URL, or a file. Exactly one; the other is absent or "".
   */
  jwkSetUrl?: string | undefined;
  jwkSetFile?: string | undefined;
  /** Time between two checks for new keys. */
  jwkSetUpdateInterval: number;
  /** How long to use keys that cannot be refreshed. */
  jwkSetMaxAge: number;
  algorithms: readonly JwtAlgorithm[];
  /** Allowed error of the issuer's clock, for `exp` and `nbf`. */
  leeway: number;
  /** Names of the token's parameter. The hook looks for each in the route, then (in any case) in the query. */
  parameters: readonly string[];
  /** Number of valid tokens in the cache. */
  cacheSize: number;
}

/** Returns the source of keys for messages: a path, or a URL without secrets. */
export function sourceName({
  jwkSetUrl = "",
  jwkSetFile = "",
}: Pick<JwtOptions, "jwkSetUrl" | "jwkSetFile">): string {
  return jwkSetUrl.replace(/[?#].*/s, "") || jwkSetFile;
}
