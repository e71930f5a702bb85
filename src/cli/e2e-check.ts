/** What the checks of `chihaya e2e` share. */

/** The tracker responded with something unexpected. */
export class CheckFailure extends Error {}

/** Receives each response, for `--debug`. */
export type Trace = (text: string) => void;
