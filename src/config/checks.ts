import { localNetworks } from "../bittorrent/external-ip.ts";
import { Address } from "../ip/address.ts";
import { Networks } from "../ip/networks.ts";
import type { IntervalChange } from "../middleware/define-hook.ts";
import { validateRoutes } from "../protocol/router.ts";
import { lifetimeOf } from "../storage/define-store.ts";
import type { Config } from "./config.ts";
import { checkDefinitions, findHook } from "./definition-checks.ts";
import type { Path } from "./diagnostics.ts";
import { readTlsFiles, validityProblem } from "./tls-files.ts";
import type { Plain } from "./tree.ts";

/** Where checks report to. */
export interface CheckReport {
  /** Milliseconds since 1970. */
  readonly now: number;
  error(path: Path, message: string): void;
  warning(path: Path, message: string): void;
  /** Whether all of these values could be read; what is said about the others would be a guess. */
  sound(...paths: Path[]): boolean;
}

/**
 * Checks what no single value can be blamed for: values against each other, and against files.
 * Puts the TLS files that it has read into `config`.
 */
export function checkTogether(config: Config, document: Plain, report: CheckReport): void {
  if (config.http === undefined && config.udp === undefined && report.sound(["http"], ["udp"])) {
    report.error(
      [],
      'no frontend; add the block "http" or "udp", or both (a block without keys has the defaults)',
    );
  }
  checkIntervals(config, document as Record<string, Plain>, report);
  checkSpoofing(config, report);
  checkNumWant(config, report);
  checkHttp(config, document as Record<string, Plain>, report);
  for (const { index, message } of validateRoutes(config.udp?.announceRoutes ?? [], [])) {
    report.error(["udp", "announce_routes", index], message);
  }
  if (config.udp?.listen.length === 0 && report.sound(["udp", "addr"])) {
    report.error(["udp", "addr"], "must specify addr; remove the block to turn UDP off");
  }
  checkListeners(config, report);
  checkDefinitions(config, report);
  if (config.profiling && config.metricsListen.length === 0) {
    report.warning(["profiling"], "has no effect without metrics_addr");
  }
  const local = Networks.parse(localNetworks);
  const open = config.metricsListen.find(({ host }) => !local.contains(Address.parse(host)));
  if (config.profiling && open !== undefined) {
    report.warning(
      ["profiling"],
      `shows the memory of the process, keys included, to whoever reaches ${open.host}; let metrics_addr be 127.0.0.1`,
    );
  }
  const key = config.udp?.privateKey ?? "";
  if (key === "paste a random string here that will be used to hmac connection IDs") {
    report.warning(
      ["udp", "private_key"],
      "this is the key of Chihaya's example file, which everybody knows; make your own",
    );
  } else if (key !== "" && key.length < 16) {
    report.warning(
      ["udp", "private_key"],
      "short enough to be guessed; use 16 characters or more, at random",
    );
  }
  for (const [index, hook] of config.postHooks.entries()) {
    if (hook.module !== undefined || !report.sound(["posthooks", index])) continue;
    report.warning(
      ["posthooks", index, "name"],
      `${JSON.stringify(hook.name)} has an effect only among the prehooks`,
    );
  }
}

function checkIntervals(config: Config, document: Record<string, Plain>, report: CheckReport): void {
  const { announceInterval, minAnnounceInterval } = config;
  const { peerLifetime } = lifetimeOf(config.storage.config);
  if (
    minAnnounceInterval > announceInterval &&
    "min_announce_interval" in document && // its default gives way
    report.sound(["announce_interval"], ["min_announce_interval"])
  ) {
    report.error(["min_announce_interval"], "must not be longer than announce_interval");
  }
  const path = ["storage", "config", "peer_lifetime"];
  if (!report.sound(["announce_interval"], path, ["prehooks"])) return;
  let longest = announceInterval;
  let reason = "announce_interval";
  for (const { name, change } of intervalChanges(config)) {
    if (!change.adds) continue;
    longest += change.seconds;
    reason += ` and ${change.keys} of ${name}`;
  }
  for (const { name, change } of intervalChanges(config)) {
    if (change.adds) continue;
    longest = change.seconds;
    reason = `${change.keys} of ${name}`;
  }
  if (peerLifetime <= longest) {
    const seen = `peers announce every ${longest} s (${reason})`;
    report.warning(path, `${seen} and are forgotten after ${peerLifetime} s; make it longer`);
  }
}

/** How the prehooks change the interval, in their order. */
function intervalChanges({ preHooks }: Config): { name: string; change: IntervalChange }[] {
  return preHooks.flatMap((hook) => {
    const change = findHook(hook)?.changesInterval?.(hook.options);
    return change === undefined ? [] : [{ name: hook.name, change }];
  });
}

function checkNumWant(config: Config, report: CheckReport): void {
  for (const frontend of ["http", "udp"] as const) {
    const options = config[frontend];
    if (options === undefined || options.defaultNumWant <= options.maxNumWant) continue;
    if (!report.sound([frontend, "max_numwant"], [frontend, "default_numwant"])) continue;
    report.warning([frontend, "default_numwant"], `above max_numwant; ${options.maxNumWant} is used`);
    options.defaultNumWant = options.maxNumWant;
  }
}

function checkSpoofing(config: Config, report: CheckReport): void {
  for (const frontend of ["http", "udp"] as const) {
    const options = config[frontend];
    if (options === undefined || options.allowIpSpoofing || options.ipSpoofingFrom.length === 0) continue;
    if (!report.sound([frontend, "allow_ip_spoofing"], [frontend, "ip_spoofing_from"])) continue;
    report.warning([frontend, "ip_spoofing_from"], "has no effect without allow_ip_spoofing: true");
  }
}

function checkHttp(config: Config, document: Record<string, Plain>, report: CheckReport): void {
  const { http } = config;
  if (http !== undefined) http.tls = undefined;
  if (http === undefined || typeof document.http !== "object") return;
  checkTls(config, report, document.http as Record<string, Plain>);
  if (http.announceRoutes.length === 0)
    report.error(["http", "announce_routes"], 'must specify routes, as "/announce"');
  for (const { action, index, message } of validateRoutes(http.announceRoutes, http.scrapeRoutes)) {
    report.error(["http", `${action}_routes`, index], message);
  }
  if (!report.sound(["http", "trusted_proxies"])) return;
  if (http.trustedProxies.length === 0) {
    const remedy = "has no effect without trusted_proxies; list the addresses of your proxies there";
    if (http.realIpHeader !== "") report.warning(["http", "real_ip_header"], remedy);
    if (http.proxyProtocol) report.warning(["http", "proxy_protocol"], remedy);
  } else if (http.realIpHeader === "" && !http.proxyProtocol && report.sound(["http"])) {
    report.warning(["http", "trusted_proxies"], "has no effect without real_ip_header or proxy_protocol");
  }
}

function checkTls(config: Config, report: CheckReport, given: Record<string, Plain>): void {
  const http = config.http!;
  const [cert, key] = [given.tls_cert_path, given.tls_key_path].map((path) =>
    typeof path === "string" ? path : "",
  );
  const at = (name: string): Path => ["http", name];
  if (!report.sound(at("addr"), at("https_addr"), at("tls_cert_path"), at("tls_key_path"))) return;
  if (http.listen.length === 0 && http.listenTls.length === 0) {
    report.error(at("addr"), "must specify addr or https_addr or both; remove the block to turn HTTP off");
  }
  if (http.listenTls.length > 0 && (!cert || !key)) {
    report.error(at("https_addr"), "must specify tls_cert_path and tls_key_path when using https_addr");
  } else if (http.listenTls.length === 0 && (cert || key)) {
    const message = "must specify https_addr when using tls_cert_path and tls_key_path";
    report.error(at(cert ? "tls_cert_path" : "tls_key_path"), message);
  } else if (cert && key) {
    const files = readTlsFiles(cert, key);
    if (Array.isArray(files)) {
      for (const problem of files) report.error(at(problem.key), problem.message);
      return;
    }
    http.tls = files;
    const validity = validityProblem(files.cert.toString(), report.now);
    if (validity !== undefined) report.warning(at("tls_cert_path"), `${cert}${validity}`);
  }
}

/** Two of our own TCP listeners cannot have one address. */
function checkListeners(config: Config, report: CheckReport): void {
  const taken = new Map<string, string>();
  const groups = [
    { path: ["http", "addr"], list: config.http?.listen ?? [] },
    { path: ["http", "https_addr"], list: config.http?.listenTls ?? [] },
    { path: ["metrics_addr"], list: config.metricsListen },
  ];
  for (const { path, list } of groups) {
    for (const { host, port } of list) {
      const address = `${host} port ${port}`;
      const other = taken.get(address);
      if (other !== undefined && other !== path.join("."))
        report.error(path, `${address} is taken by ${other} already`);
      if (port !== 0) taken.set(address, path.join("."));
    }
  }
}
