import { readFileSync } from "node:fs";
import type { Config } from "../config/config.ts";

/** Descriptors for all but the clients: metrics, files, reloads, the store, and what each worker needs. */
const reserved = 128;
const reservedByWorker = 16;

/**
 * Reads how many descriptors this process may have open. Node.js has raised its soft limit to the hard one.
 * @returns undefined where the limit is none, or the system does not say (it does on Linux)
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
 * Limits the HTTP connections of each worker to what the process has descriptors for, so that a flood of connections closes
 * the oldest of them, rather than keep new clients, metrics and reloads out.
 * @returns the config with `maxConnections` lowered, and a warning where it was
 */
export function limitConnections(
  config: Config,
  workers: number,
  limit: number | undefined,
): { config: Config; warning?: string } {
  const { http } = config;
  if (http === undefined || limit === undefined) return { config };
  // A small limit is shared half and half.
  const forClients = limit - Math.min(reserved + reservedByWorker * workers, Math.floor(limit / 2));
  // Each TLS listener has handshakes under way besides, a quarter as many: see HttpFrontend.
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
