/**
 * The events of an announce. 0 to 3 are the numbers of BEP 15. 4 is `paused` (BEP 21: a partial seed, not downloading);
 * libtorrent 2 sends 4 over UDP.
 */
export const AnnounceEvent = { none: 0, completed: 1, started: 2, stopped: 3, paused: 4 } as const;
export type AnnounceEvent = (typeof AnnounceEvent)[keyof typeof AnnounceEvent];

const names = ["none", "completed", "started", "stopped", "paused"] as const;

/** Returns the name of an event in a query; 0 is "none". */
export function eventName(event: AnnounceEvent): (typeof names)[number] {
  return names[event];
}
