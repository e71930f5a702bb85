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

/** What clients have sent since the start, over all protocols. */
export interface TrackerTraffic {
  /** HTTP connections that were accepted, and those that are open now. */
  accepted: number;
  open: number;
  /** All announces, and those that were refused. */
  announces: number;
  refused: number;
  scrapes: number;
  bytesRead: number;
  bytesWritten: number;
}
