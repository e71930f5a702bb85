import { lstatSync } from "node:fs";
import { checkTlsFiles } from "../../http/tls-files.ts";
import type { CheckReport } from "../../options/index.ts";
import { Router, validateRoutes } from "../../protocol/router.ts";
import { checkCommonOptions } from "../common-options.ts";
import { type OpentrackerOptions, withDefaults } from "./opentracker/options.ts";
import type { HttpOptions } from "./options.ts";

/**
 * Checks the options of HTTP against each other, and against the files of TLS, which it puts into `http.tls`.
 * @param given  the block as it was written
 */
export function checkHttp(
  http: HttpOptions,
  report: CheckReport,
  given: Readonly<Record<string, unknown>>,
): void {
  checkCommonOptions(http, report);
  checkTls(http, report, given);
  if (http.announceRoutes.length === 0)
    report.error(["announce_routes"], 'must specify routes, as "/announce"');
  for (const { action, index, message } of validateRoutes(http.announceRoutes, http.scrapeRoutes)) {
    report.error([`${action}_routes`, index], message);
  }
  if (http.opentracker !== undefined && report.isReadable(["opentracker"])) {
    const options = withDefaults(http.opentracker);
    checkPages(http, options, report);
    checkPipes(options, report);
  }
  if (!report.isReadable(["trusted_proxies"])) return;
  if (http.trustedProxies.length === 0) {
    const remedy = "has no effect without trusted_proxies; list the addresses of your proxies there";
    if (http.realIpHeader !== "") report.warning(["real_ip_header"], remedy);
    if (http.proxyProtocol) report.warning(["proxy_protocol"], remedy);
  } else if (http.realIpHeader === "" && !http.proxyProtocol && report.isReadable([])) {
    report.warning(["trusted_proxies"], "has no effect without real_ip_header or proxy_protocol");
  }
}

/** An announce or a scrape is looked up first, so a page on such a path would be out of reach. */
function checkPages(
  { announceRoutes, scrapeRoutes }: HttpOptions,
  { statsPath }: OpentrackerOptions,
  report: CheckReport,
): void {
  let router: Router;
  try {
    router = new Router(announceRoutes, scrapeRoutes);
  } catch {
    return; // a route is invalid, which is reported elsewhere
  }
  for (const path of [statsPath, `${statsPath}.json`]) {
    const bytes = new TextEncoder().encode(path);
    const route = router.match(bytes, 0, bytes.length);
    if (route !== undefined)
      report.error(
        ["opentracker", "stats_path"],
        `${path} is a path of ${route.action}s; choose another one`,
      );
  }
}

/** A missing pipe is created at the start. */
function checkPipes({ fifoAdd, fifoDelete }: OpentrackerOptions, report: CheckReport): void {
  for (const [key, path] of [
    ["fifo_add", fifoAdd],
    ["fifo_delete", fifoDelete],
  ] as const) {
    const file = path === "" ? undefined : lstatSync(path, { throwIfNoEntry: false });
    if (file !== undefined && !file.isFIFO())
      report.error(
        ["opentracker", key],
        `${path} is no named pipe; remove the file, and the tracker creates the pipe`,
      );
  }
  if (fifoAdd !== "" && fifoAdd === fifoDelete)
    report.error(["opentracker", "fifo_delete"], "needs another pipe than fifo_add");
}

function checkTls(http: HttpOptions, report: CheckReport, given: Readonly<Record<string, unknown>>): void {
  http.tls = undefined;
  const [cert, key] = [given.tls_cert_path, given.tls_key_path].map((path) =>
    typeof path === "string" ? path : "",
  );
  if (!report.isReadable(["addr"], ["https_addr"], ["tls_cert_path"], ["tls_key_path"])) return;
  if (http.listen.length === 0 && http.listenTls.length === 0) {
    report.error(["addr"], "must specify addr or https_addr or both; remove the block to turn HTTP off");
  }
  if (http.listenTls.length > 0 && (!cert || !key)) {
    report.error(["https_addr"], "must specify tls_cert_path and tls_key_path when using https_addr");
  } else if (http.listenTls.length === 0 && (cert || key)) {
    const message = "must specify https_addr when using tls_cert_path and tls_key_path";
    report.error([cert ? "tls_cert_path" : "tls_key_path"], message);
  } else if (cert && key) {
    http.tls = checkTlsFiles(cert, key, report);
  }
}
