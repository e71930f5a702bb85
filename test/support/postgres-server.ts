import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { userInfo } from "node:os";
import { delimiter, join } from "node:path";
import type { TlsFiles } from "../../src/net/stream.ts";
import { findFreePort } from "../e2e/ports.ts";
import { type RunningProcess, startProcess, withoutProgram } from "../e2e/process.ts";
import { untilOutput } from "./redis-server.ts";

// Debian has the server's programs outside of PATH, by version.
const versions = "/usr/lib/postgresql";
try {
  for (const version of readdirSync(versions).sort())
    process.env.PATH += `${delimiter}${join(versions, version, "bin")}`;
} catch {
  // not Debian, or not installed
}

/** False, or the reason to skip tests with PostgreSQL. With CHIHAYA_REQUIRE_CLIENTS=1, they fail instead if PostgreSQL is missing. */
export const withoutPostgres: string | false = await withoutProgram(
  "postgres",
  ["--version"],
  "apt install postgresql",
);

/** A PostgreSQL server for one test, on loopback. The user postgres has no password. */
export interface PostgresServer {
  readonly port: number;
  /** Returns the URL of a database. */
  url(database: string): string;
  /** Kills the server without warning, and starts it again on the same data. */
  crash(): Promise<void>;
  stop(): Promise<void>;
}

/**
 * Starts a server without databases of its own, and waits until it accepts connections.
 * @param tls  for encrypted connections; without it, there are none
 */
export async function startPostgresServer(tls?: TlsFiles): Promise<PostgresServer> {
  // Not below TMPDIR: the server refuses to run as root, and another user cannot reach the directories of this one.
  const directory = mkdtempSync("/tmp/chihaya-postgres-");
  const isRoot = userInfo().uid === 0;
  const asUser = isRoot ? ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] : [];
  const [certificate, key] = [join(directory, "certificate.pem"), join(directory, "key.pem")];
  if (tls !== undefined) {
    writeFileSync(certificate, tls.cert);
    writeFileSync(key, tls.key, { mode: 0o600 });
  }
  if (isRoot) execFileSync("chown", ["-R", "postgres", directory]);
  const run = (name: string, args: readonly string[]): RunningProcess => {
    const [command, ...rest] = [...asUser, name, ...args];
    return startProcess(name, command!, rest);
  };
  const data = join(directory, "data");
  const init = run("initdb", ["-D", data, "-U", "postgres", "--auth=trust", "--no-sync", "-E", "UTF8"]);
  while (init.ended === undefined) await new Promise((resolve) => setTimeout(resolve, 20));
  if (init.ended !== 0) throw new Error(`initdb: ${init.output()}`);
  const port = await findFreePort();
  const settings = {
    ...{ listen_addresses: "127.0.0.1", unix_socket_directories: "", port, fsync: "off" },
    ...(tls !== undefined && { ssl: "on", ssl_cert_file: certificate, ssl_key_file: key }),
  };
  const flags = Object.entries(settings).flatMap(([key, value]) => ["-c", `${key}=${value}`]);
  const start = async (): Promise<RunningProcess> => {
    for (let attempt = 1; ; attempt++) {
      const server = run("postgres", ["-D", data, ...flags]);
      try {
        await untilOutput(server, /ready to accept connections/);
        return server;
      } catch (error) {
        // The children of a killed server take a moment to end.
        if (attempt === 100 || !/still in use/.test(server.output())) throw error;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    }
  };
  let running = await start();
  const kill = async (): Promise<void> => {
    if (running.ended === undefined) process.kill(running.pid, "SIGKILL");
    while (running.ended === undefined) await new Promise((resolve) => setTimeout(resolve, 5));
  };
  return {
    port,
    url: (database) => `postgres://postgres@127.0.0.1:${port}/${database}`,
    async crash() {
      await kill();
      running = await start();
    },
    async stop() {
      await kill();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
