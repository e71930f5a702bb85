/** Numbers of the tracker for the site's staff. */
export interface TrackerNumbers {
  version: string;
  /** Seconds. */
  uptime: number;
  announceInterval: number;
  /** Announces that the accountant has taken, and those that the database lacks. */
  announces: number;
  lag: number;
}
