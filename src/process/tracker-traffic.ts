import type { FamilySnapshot } from "../observability/metrics.ts";
import { responses } from "../operator/api/sampler.ts";
import { Totals } from "../operator/api/totals.ts";
import type { TrackerTraffic } from "../private/sites/tracker-numbers.ts";

/** Reads what clients have sent out of the metrics of all threads. */
export function readTraffic(snapshot: readonly FamilySnapshot[]): TrackerTraffic {
  const totals = new Totals(snapshot);
  const count = (labels: Readonly<Record<string, string>>): number =>
    Object.values(responses).reduce((sum, name) => sum + totals.sum(name, labels), 0);
  const announces = count({ action: "announce" });
  return {
    accepted: totals.sum("chihaya_http_connections_accepted_total"),
    open: totals.sum("chihaya_http_connections"),
    announces,
    refused: announces - count({ action: "announce", error: "" }),
    scrapes: count({ action: "scrape" }),
    bytesRead: totals.sum("chihaya_received_bytes_total"),
    bytesWritten: totals.sum("chihaya_sent_bytes_total"),
  };
}
