import { localNetworks } from "../bittorrent/external-ip.ts";
import { builtIn, optionsOf } from "../frontend/built-in.ts";
import { Address } from "../ip/address.ts";
import type { ListenAddress } from "../ip/listen-address.ts";
import { Networks } from "../ip/networks.ts";
import type { IntervalChange } from "../middleware/define-hook.ts";
import { checkAdmin } from "../operator/admin-options.ts";
import { reportBelow } from "../options/check-report.ts";
import type { CheckReport, Path } from "../options/index.ts";
import { lifetimeOf } from "../storage/define-store.ts";
import type { Config } from "./config.ts";
import { checkDefinitions, findHook } from "./definition-checks.ts";
import type { Plain } from "./tree.ts";

/** Checks values against each other and against files. Puts the TLS files that it reads into `config`. */
export function checkTogether(config: Config, document: Plain, report: CheckReport): void {
  const names = builtIn.map(({ name }) => name);
  const isOff = names.every((name) => optionsOf(config, name) === undefined) && config.frontends.length === 0;
  if (isOff && report.isReadable(...names.map((name) => [name]), ["frontends"])) {
    report.error(
      [],
      'no frontend; add a block, such as "http" or "udp" (a block without keys has the defaults)',
    );
  }
  if (config.websocket?.listen.length === 0 && config.http === undefined && report.isReadable(["http"])) {
    report.error(["websocket"], "has no address; set addr, or add the block http, whose addresses it uses");
  }
  checkIntervals(config, document as Record<string, Plain>, report);
  checkFrontends(config, document as Record<string, Plain>, report);
  checkListeners(config, report);
  checkDefinitions(config, report);
  if (config.profiling && config.metricsListen.length === 0) {
    report.warning(["profiling"], "has no effect without metrics_addr");
  }
  const open = findPublic(config.metricsListen);
  if (config.profiling && open !== undefined) {
    report.warning(
      ["profiling"],
      `every client that reaches ${open.host} can read the memory of the process, with its keys; set metrics_addr to 127.0.0.1`,
    );
  }
  checkPipes(config, report);
  if (config.admin) checkAdmin(config.admin, config.metricsListen, reportBelow(["admin"], report));
  for (const [index, hook] of config.postHooks.entries()) {
    if (hook.module !== undefined || !report.isReadable(["posthooks", index])) continue;
    report.warning(
      ["posthooks", index, "name"],
      `${JSON.stringify(hook.name)} has an effect only among the prehooks`,
    );
  }
}

/** Returns the first address that other networks may reach. */
export function findPublic(addresses: readonly ListenAddress[]): ListenAddress | undefined {
  const local = Networks.parse(localNetworks);
  return addresses.find(({ host }) => !local.contains(Address.parse(host)));
}

/** The pipes change the list of a hook. */
function checkPipes({ http, preHooks }: Config, report: CheckReport): void {
  const { fifoAdd = "", fifoDelete = "" } = http?.opentracker ?? {};
  if ((fifoAdd === "" && fifoDelete === "") || !report.isReadable(["prehooks"], ["http", "opentracker"]))
    return;
  if (preHooks.some(({ name, module }) => name === "torrent approval" && module === undefined)) return;
  report.error(
    ["http", "opentracker", fifoAdd === "" ? "fifo_delete" : "fifo_add"],
    'needs the prehook "torrent approval", whose list it changes',
  );
}

function checkIntervals(config: Config, document: Record<string, Plain>, report: CheckReport): void {
  const { announceInterval, minAnnounceInterval } = config;
  const { peerLifetime } = lifetimeOf(config.storage.config);
  if (
    minAnnounceInterval > announceInterval &&
    "min_announce_interval" in document && // the tracker shortens the default by itself
    report.isReadable(["announce_interval"], ["min_announce_interval"])
  ) {
    report.error(["min_announce_interval"], "must not be longer than announce_interval");
  }
  const path = ["storage", "config", "peer_lifetime"];
  if (config.storage.module !== undefined || !report.isReadable(["announce_interval"], path, ["prehooks"]))
    return;
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
    const frequency = `peers announce every ${longest} s (${reason})`;
    report.warning(path, `${frequency} but expire after ${peerLifetime} s; set a longer peer_lifetime`);
  }
}

/** Lists how the prehooks change the interval, in their order. */
function intervalChanges({ preHooks }: Config): { name: string; change: IntervalChange }[] {
  return preHooks.flatMap((hook) => {
    const change = findHook(hook)?.changesInterval?.(hook.options);
    return change === undefined ? [] : [{ name: hook.name, change }];
  });
}

/** Runs the check of each frontend. */
function checkFrontends(config: Config, document: Record<string, Plain>, report: CheckReport): void {
  for (const { name, check } of builtIn) {
    const options = optionsOf(config, name);
    const given = document[name];
    if (options === undefined || typeof given !== "object" || given === null) continue;
    check?.(options, reportBelow([name], report), given as Record<string, Plain>);
  }
}

/** Refuses one address for two TCP listeners of the tracker. */
function checkListeners(config: Config, report: CheckReport): void {
  const taken = new Map<string, string>();
  const claim = (path: Path, addresses: readonly ListenAddress[]) => {
    for (const { host, port } of addresses) {
      const address = `${host} port ${port}`;
      const other = taken.get(address);
      if (other !== undefined && other !== path.join("."))
        report.error(path, `${other} already uses ${address}`);
      if (port !== 0) taken.set(address, path.join("."));
    }
  };
  for (const { name, listens = [] } of builtIn) {
    const options = optionsOf(config, name) as Record<string, unknown> | undefined;
    for (const { key, option, transport } of listens) {
      if (options === undefined || transport !== "tcp") continue;
      claim([name, key], options[option] as readonly ListenAddress[]);
    }
  }
  claim(["metrics_addr"], config.metricsListen);
  if (config.admin) claim(["admin", "addr"], config.admin.addr);
}
