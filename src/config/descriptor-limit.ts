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

/**
 * Limits the HTTP connections of each worker to the descriptors of the process. A flood of connections then closes the oldest
 * connections, and descriptors remain for new clients, metrics and reloads.
 * @returns the config, and a warning if `maxConnections` was lowered
 */
export function limitConnections(
  config: Config,
  workers: number,
  limit: number | undefined,
): { config: Config; warning?: string } {
  const { http } = config;
  if (http === undefined || limit === undefined) return { config };
  // Clients get half of a small limit.
  const forClients = limit - Math.min(reserved + reservedByWorker * workers, Math.floor(limit / 2));
  // Each TLS listener also has up to a quarter as many handshakes in progress: see HttpFrontend.
  const most = Math.max(1, Math.floor(forClients / workers / (1 + http.listenTls.length / 4)));
  if (http.maxConnections <= most) return { config };
  const each = workers === 1 ? "" : ` in each of ${workers} workers`;
  return {
    config: { ...config, http: { ...http, maxConnections: most } },
    warning:
      `http.max_connections is ${http.maxConnections}, and the limit of ${limit} open files leaves room for ${most}${each}; ` +
      "raise it (LimitNOFILE= in the systemd unit, --ulimit nofile= of the container, ulimit -n in the shell) or lower " +
      "max_connections",
  };
}
