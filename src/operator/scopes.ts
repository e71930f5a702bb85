/** The scopes that a token of the admin API can have. */
export const scopes = ["read", "peers:read", "write", "admin"] as const;
export type Scope = (typeof scopes)[number];

/** A token of the configuration. */
export interface AdminToken {
  readonly name: string;
  /** `sha256:` and 64 hexadecimal digits. */
  readonly hash: string;
  readonly scopes: readonly Scope[];
}
