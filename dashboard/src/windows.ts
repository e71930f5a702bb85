/** How far the charts look back. */
export interface Window {
  readonly label: string;
  readonly seconds: number;
  /** The `step` of the history. */
  readonly step: string;
  /** Seconds between two readings of the history; 0 if events bring the newest values. */
  readonly refresh: number;
}

export const windows: readonly [Window, ...Window[]] = [
  { label: "10 min", seconds: 600, step: "1s", refresh: 0 },
  { label: "1 h", seconds: 3600, step: "10s", refresh: 10 },
  { label: "6 h", seconds: 21_600, step: "10s", refresh: 30 },
  { label: "24 h", seconds: 86_400, step: "5m", refresh: 60 },
  { label: "7 d", seconds: 604_800, step: "5m", refresh: 300 },
];
