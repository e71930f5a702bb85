import type { Entry } from "./log.ts";

/** What the page may change, and how it says so. */
export interface Steering {
  readonly mayWrite: boolean;
  readonly requestSignIn: (reason: string) => void;
  readonly note: (entry: Omit<Entry, "at">) => void;
}
