import type { AnnounceResponse } from "../../../bittorrent/announce.ts";
import type { Metrics } from "../../../observability/metrics.ts";

/** Minutes of opentracker's peer lifetime: the length of its histogram of renewals. */
export const renewalMinutes = 45;

export const renewals = {
  name: "chihaya_http_opentracker_renewal_seconds",
  help: "Seconds since the previous announce of the same peer",
} as const;

/** The last second of each minute but the last one, which has no end. */
const bounds = Array.from({ length: renewalMinutes - 1 }, (_, minute) => 60 * minute + 59);

/** Creates the posthook that counts renewals for `mode=renew`. */
export function countRenewals(metrics: Metrics): {
  readonly name: string;
  handleAnnounce(request: unknown, response: Pick<AnnounceResponse, "renewedAfter">): void;
} {
  const seconds = metrics.histogram(renewals.name, renewals.help, bounds);
  return {
    name: "renewals",
    handleAnnounce(_, { renewedAfter }) {
      if (renewedAfter >= 0) seconds.observe(renewedAfter);
    },
  };
}
