import { readFileSync } from "node:fs";
import type { Config } from "./config.ts";

/** Descriptors for everything but clients: metrics, files, reloads, the store; and those that each worker needs. */
const reserved = 128;
const reservedByWorker = 16;

/**
 * Reads how many descriptors this process may have open. Node.js has raised the soft limit to the hard limit.
 * @returns undefined if there is no limit, or on systems other than Linux
 */
export function readDescriptorLimit(): number | undefined {
  let limits: string;
  try {
    limits = readFileSync("/proc/self/limits", "latin1");
  } catch {
    return undefined;
  }
  const soft = /^Max open files +(\d+)/m.exec(limits)?.[1];
  return soft === undefined ? undefined : Number(soft);
}

/** A key that is lowered, with the reason. */
export interface LoweredLimit {
  /** The block of the key `max_connections`. */
  readonly block: "http" | "websocket";
  readonly warning: string;
}

/**
 * Limits the HTTP connections and WebSockets of each worker to the descriptors of the process. A flood of connections then closes
 * the oldest HTTP connections, and descriptors remain for new clients, metrics and reloads. If there are too few descriptors for
 * both, each of them gets at least half.
 * @returns the config, and a warning for each `maxConnections` that was lowered
 */
export function limitConnections(
  config: Config,
  workers: number,
  limit: number | undefined,
): { config: Config; lowered: readonly LoweredLimit[] } {
  const { http, websocket } = config;
  if (limit === undefined) return { config, lowered: [] };
  // Clients get half of a small limit.
  const forClients = limit - Math.min(reserved + reservedByWorker * workers, Math.floor(limit / 2));
  const ofWorker = Math.max(1, Math.floor(forClients / workers));
  // Each TLS listener also has up to a quarter as many handshakes in progress: see HttpFrontend.
  const each = 1 + (http?.listenTls.length ?? 0) / 4;
  const wantedByHttp = (http?.maxConnections ?? 0) * each;
  const half = http === undefined ? ofWorker : Math.floor(ofWorker / 2);
  const forWeb = Math.min(
    websocket?.maxConnections ?? 0,
    Math.max(half, ofWorker - Math.ceil(wantedByHttp), 1),
  );
  const forHttp = Math.max(1, Math.floor((ofWorker - forWeb) / each));
  const lowered: LoweredLimit[] = [];
  const lower = <Block extends { maxConnections: number }>(
    name: LoweredLimit["block"],
    block: Block | undefined,
    most: number,
  ): Block | undefined => {
    if (block === undefined || block.maxConnections <= most) return block;
    const where = workers === 1 ? "" : ` in each of ${workers} workers`;
    const warning =
      `${name}.max_connections is ${block.maxConnections}, and the limit of ${limit} open files leaves room for ${most}${where}; ` +
      "raise it (LimitNOFILE= in the systemd unit, --ulimit nofile= of the container, ulimit -n in the shell) or lower " +
      "max_connections";
    lowered.push({ block: name, warning });
    return { ...block, maxConnections: most };
  };
  const limits = { http: lower("http", http, forHttp), websocket: lower("websocket", websocket, forWeb) };
  return { config: { ...config, ...limits }, lowered };
}
