/** Signatures that can be allowed. */
export type JwtAlgorithm = "RS256" | "ES256" | "EdDSA";

/** What the hook `jwt` is told; all times are seconds. */
export interface JwtOptions {
  /** What the claim `iss` must be. */
  issuer: string;
  /** What the claim `aud` must be or contain. */
  audience: string;
  /** Where the issuer's public keys are (RFC 7517): an http(s) URL, or a file. One of the two; the other is absent or "". */
  jwkSetUrl?: string | undefined;
  jwkSetFile?: string | undefined;
  /** Between two looks for new keys. */
  jwkSetUpdateInterval: number;
  /** For one answer of `jwkSetUrl`. */
  jwkSetTimeout: number;
  /** How long keys are used that could not be fetched again. */
  jwkSetMaxAge: number;
  algorithms: readonly JwtAlgorithm[];
  /** How far the issuer's clock may be off, for `exp` and `nbf`. */
  leeway: number;
  /** Where the token is: each is looked for in the route, then (in upper and lower case) in the query. */
  parameters: readonly string[];
  /** Tokens that are remembered as valid. */
  cacheSize: number;
}
