import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { findFreePort } from "../e2e/ports.ts";
import { type RunningProcess, startProcess, withoutProgram } from "../e2e/process.ts";
import { untilOutput } from "./redis-server.ts";

/** A MariaDB server for one test, on loopback. The user root has no password. */
export interface MariadbServer {
  readonly process: RunningProcess;
  readonly port: number;
  /** Returns the URL of a database. */
  url(database: string): string;
  /** Kills the server without warning, and starts it again on the same data. */
  crash(): Promise<void>;
  stop(): Promise<void>;
}

/** False, or the reason to skip tests with MariaDB. With CHIHAYA_REQUIRE_CLIENTS=1, they fail instead if MariaDB is missing. */
export const withoutMariadb: string | false = await withoutProgram(
  "mariadbd",
  ["--no-defaults", "--version"],
  "apt install mariadb-server",
);

/** Starts a server with empty tables, and waits until it accepts connections. */
export async function startMariadbServer(settings: readonly string[] = []): Promise<MariadbServer> {
  const directory = mkdtempSync(join(tmpdir(), "chihaya-mariadb-"));
  const data = join(directory, "data");
  const user = `--user=${userInfo().username}`;
  const install = startProcess("mariadb-install-db", "mariadb-install-db", [
    ...[
      "--no-defaults",
      `--datadir=${data}`,
      `--tmpdir=${directory}`, // servers that begin at the same time choose the same names of files
      "--auth-root-authentication-method=normal",
      "--skip-test-db",
      user,
    ],
  ]);
  while (install.ended === undefined) await new Promise((resolve) => setTimeout(resolve, 20));
  if (install.ended !== 0) throw new Error(`mariadb-install-db: ${install.output()}`);
  const port = await findFreePort();
  const start = async (): Promise<RunningProcess> => {
    const process = startProcess("mariadbd", "mariadbd", [
      ...[
        "--no-defaults",
        user,
        `--datadir=${data}`,
        `--tmpdir=${directory}`,
        `--socket=${join(directory, "s")}`,
        `--port=${port}`,
      ],
      ...[`--pid-file=${join(directory, "pid")}`, "--bind-address=127.0.0.1", "--skip-log-bin"],
      ...["--innodb-buffer-pool-size=64M", "--performance-schema=OFF", ...settings],
    ]);
    await untilOutput(process, /ready for connections/);
    return process;
  };
  let running = await start();
  const kill = async (): Promise<void> => {
    if (running.ended === undefined) process.kill(running.pid, "SIGKILL");
    while (running.ended === undefined) await new Promise((resolve) => setTimeout(resolve, 5));
  };
  return {
    get process() {
      return running;
    },
    port,
    url: (database) => `mysql://root@127.0.0.1:${port}/${database}`,
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
