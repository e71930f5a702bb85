import type { Metrics } from "./metrics.ts";

/** Registers when the certificates of HTTPS listeners expire. @param urls  of all listeners @param read  returns seconds since 1970 */
export function registerCertificates(metrics: Metrics, urls: readonly string[], read: () => number): void {
  for (const listener of urls.filter((url) => url.startsWith("https:"))) {
    metrics.gauge(
      "chihaya_tls_certificate_expiry_timestamp_seconds",
      "Time at which the first certificate of a listener's chain expires, in seconds since 1970",
      read,
      { listener },
      "min",
    );
  }
}
