import { isAbsolute, join } from "node:path";
import { parseNetwork } from "../../ip/networks.ts";
import type { Translation, TranslationNote } from "./translation.ts";

/** opentracker's port of lines without one. */
const defaultPort = 6969;
/** The multicast group and the port of opentracker's live sync. */
const liveSyncGroup = "224.0.23.5";
const liveSyncPort = 9696;

/** What the lines that were read so far say. */
interface State {
  readonly tcp: string[];
  readonly udp: string[];
  readonly stats: string[];
  readonly proxies: string[];
  readonly whitelist: string[];
  readonly blacklist: string[];
  readonly nodes: string[];
  /** Address and port of `livesync.cluster.listen`. */
  cluster: string | undefined;
  fifoAdd: string | undefined;
  fifoDelete: string | undefined;
  statsPath: string | undefined;
  redirect: string | undefined;
  rootDirectory: string | undefined;
}

/** Takes one line. @returns the reason if the line has no counterpart or needs attention */
type Take = (state: State, value: string) => string | undefined;

const inBuild = "opentracker has only one of the two lists, by its build";

const keys: Readonly<Record<string, Take>> = {
  "listen.tcp_udp": (state, value) => {
    const address = toAddress(value);
    if (address === undefined) return notAnAddress;
    state.tcp.push(address);
    state.udp.push(address);
    return undefined;
  },
  "listen.tcp": (state, value) => push(state.tcp, toAddress(value), notAnAddress),
  "listen.udp": (state, value) => push(state.udp, toAddress(value), notAnAddress),
  "listen.udp.workers": () => "not needed: every worker serves UDP and HTTP; see the key workers",
  "access.whitelist": (state, value) => push(state.whitelist, value, inBuild),
  "access.blacklist": (state, value) => push(state.blacklist, value, inBuild),
  "access.stats": (state, value) => push(state.stats, toNetwork(value), notANetwork),
  "access.proxy": (state, value) => push(state.proxies, toNetwork(value), notANetwork),
  "access.stats_path": (state, value) => {
    state.statsPath = `/${value.replace(/^\/+/, "")}`;
    return undefined;
  },
  "access.fifo_add": (state, value) => {
    state.fifoAdd = value;
    return undefined;
  },
  "access.fifo_delete": (state, value) => {
    state.fifoDelete = value;
    return undefined;
  },
  "livesync.cluster.node_ip": (state, value) => push(state.nodes, toNetwork(value), notANetwork),
  "livesync.cluster.listen": (state, value) => {
    state.cluster = toAddress(value, liveSyncPort);
    return state.cluster === undefined ? notAnAddress : undefined;
  },
  "tracker.redirect_url": (state, value) => {
    state.redirect = value;
    return undefined;
  },
  "tracker.rootdir": (state, value) => {
    state.rootDirectory = value;
    return "paths of lists are resolved with it; the tracker itself does not change its root directory";
  },
  "tracker.user": () =>
    "the tracker keeps its user: start it as that user, for example with User= of systemd",
  "batchsync.cluster.admin_ip": () => "obsolete: opentracker itself no longer reads this line",
};

const notAnAddress = "not an address: expected 192.0.2.1, 192.0.2.1:6969 or [2001:db8::1]:6969";
const notANetwork = "not an address or a network: expected 192.0.2.1 or 192.0.2.0/24";

/**
 * Translates a configuration file of opentracker, of the versions since 2014. Every line that has no counterpart is in the
 * notes, with its number.
 * @param file  its name, for the notes
 */
export function translateOpentracker(text: string, file: string): Translation {
  const notes: TranslationNote[] = [];
  const state: State = {
    ...{ tcp: [], udp: [], stats: [], proxies: [], whitelist: [], blacklist: [], nodes: [] },
    ...{
      cluster: undefined,
      fifoAdd: undefined,
      fifoDelete: undefined,
      statsPath: undefined,
      redirect: undefined,
      rootDirectory: undefined,
    },
  };
  for (const [index, raw] of text.split(/\r?\n/).entries()) {
    const line = raw.trim();
    if (line === "" || line.startsWith("#")) continue;
    const [, key = "", value = ""] = /^(\S+)\s*(.*)$/.exec(line) ?? [];
    const take = Object.hasOwn(keys, key) ? keys[key] : undefined;
    const reason =
      take === undefined ? "unknown line" : value === "" ? "the value is missing" : take(state, value);
    if (reason !== undefined) notes.push({ at: `${file}:${index + 1}: ${key}`, reason });
  }
  return { settings: toSettings(state, notes, file), notes };
}

function toSettings(state: State, notes: TranslationNote[], file: string): Record<string, unknown> {
  const { tcp, udp, stats, proxies, whitelist, blacklist, nodes, cluster } = state;
  const { statsPath, redirect, rootDirectory, fifoAdd, fifoDelete } = state;
  const inRoot = (path: string) => resolvePath(path, rootDirectory);
  const isDefault = tcp.length + udp.length === 0;
  const note = (reason: string): void => void notes.push({ at: file, reason });
  if (stats.length === 0)
    note(
      "without access.stats, only programs on this machine may read statistics; set http.opentracker.stats_from to open them",
    );
  if (tcp.length === 0 && !isDefault)
    note("without a listen.tcp line, HTTP and with it statistics and full scrapes are off");
  if (whitelist.length > 0 && blacklist.length > 0) note(`${inBuild}; keep one of the two`);
  const http = {
    ...(tcp.length > 0 && { addr: tcp }),
    ...(proxies.length > 0 && { real_ip_header: "x-forwarded-for", trusted_proxies: proxies }),
    opentracker: {
      ...(statsPath !== undefined && { stats_path: statsPath }),
      ...(stats.length > 0 && { stats_from: stats }),
      full_scrape: true,
      ...(redirect !== undefined && { redirect_url: redirect }),
      ...(fifoAdd !== undefined && { fifo_add: inRoot(fifoAdd) }),
      ...(fifoDelete !== undefined && { fifo_delete: inRoot(fifoDelete) }),
      ...(nodes.length > 0 && { livesync: toLiveSync(nodes, cluster) }),
    },
  };
  const from = (paths: readonly string[]) => paths.map(inRoot);
  const lists = {
    ...(whitelist.length > 0 && { whitelist_from: from(whitelist) }),
    ...(blacklist.length > 0 && { blacklist_from: from(blacklist) }),
  };
  return {
    ...((tcp.length > 0 || isDefault) && { http }),
    ...((udp.length > 0 || isDefault) && { udp: udp.length > 0 ? { addr: udp } : {} }),
    ...(Object.keys(lists).length > 0 && { prehooks: [{ name: "torrent approval", options: lists }] }),
  };
}

/** opentracker has the group in its code, and joins it on the interface of the address. */
function toLiveSync(nodes: readonly string[], cluster: string | undefined): Record<string, unknown> {
  const [, host, port = liveSyncPort] = /^(.*):(\d+)$/.exec(cluster ?? "") ?? [];
  const local = host !== undefined && host !== "0.0.0.0" && !host.startsWith("[");
  return { group: `${liveSyncGroup}:${port}`, ...(local && { interface: host }), nodes };
}

function resolvePath(path: string, rootDirectory: string | undefined): string {
  return rootDirectory === undefined || isAbsolute(path) ? path : join(rootDirectory, path);
}

function push(list: string[], value: string | undefined, problem: string): string | undefined {
  if (value === undefined) return problem;
  list.push(value);
  return undefined;
}

/** Returns an address with port and brackets: `192.0.2.1` is `192.0.2.1:6969`. */
function toAddress(value: string, port: number = defaultPort): string | undefined {
  const [, bracketed, bare, given] =
    /^(?:\[([\da-f:.]+)\]|([\d.]+|[\da-f:]*::?[\da-f:.]*?))(?::(\d+))?$/i.exec(value) ?? [];
  const host = bracketed ?? bare;
  if (host === undefined || toNetwork(host) === undefined || Number(given ?? port) > 65_535) return undefined;
  return `${host.includes(":") ? `[${host}]` : host}:${given ?? port}`;
}

function toNetwork(value: string): string | undefined {
  try {
    parseNetwork(value);
    return value;
  } catch {
    return undefined;
  }
}
