import { randomUUID } from "node:crypto";
import type { Route } from "../../http/routes.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Logger } from "../../observability/logger.ts";
import { databasePath, type PrivateOptions } from "../options.ts";
import type { Site } from "../site.ts";
import type { SiteListener } from "./site-listener.ts";
import type { TrackerNumbers } from "./tracker-numbers.ts";

/** The collaborators of {@link openSite}. */
export interface SiteDeps {
  clock: Clock;
  logger: Logger;
  numbers(): TrackerNumbers;
}

/** A site, and the listener for its calls if it has calls. */
export interface OpenSite {
  site: Site;
  listener: SiteListener | undefined;
}

/** Creates the site of the configuration. @throws Error with the remedy */
export async function openSite(options: PrivateOptions, deps: SiteDeps): Promise<OpenSite> {
  if (options.site === "sql") {
    if (options.database.startsWith("mysql:")) throw new Error("private.database: the site sql needs SQLite");
    const { openDatabase } = await import("./sql/open-database.ts");
    const { SqlSite } = await import("./sql/sql-site.ts");
    return { site: new SqlSite(openDatabase(databasePath(options.database))), listener: undefined };
  }
  const { Ledger } = await import("./mysql/ledger.ts");
  const { Mysql } = await import("./mysql/mysql.ts");
  const { Secret } = await import("./site-listener.ts");
  const { clock, logger, numbers } = deps;
  // UNIT3D has its times in UTC. Gazelle uses the time zone of the server.
  const mysql = new Mysql(
    options.database,
    options.site === "unit3d" ? { setup: "SET time_zone = '+00:00'" } : {},
  );
  const parts = { mysql, ledger: new Ledger(mysql, options.ledger), now: () => clock.unixSeconds };
  // Without a secret, no call has it.
  const secret = new Secret(options.secret || randomUUID());
  if (options.site === "unit3d") {
    const { Unit3dSite } = await import("./unit3d/unit3d-site.ts");
    const { Unit3dCalls } = await import("./unit3d/calls.ts");
    const site = new Unit3dSite(parts);
    const calls = new Unit3dCalls({ site, secret, logger, numbers });
    return { site, listener: await createListener(options.listen, calls.routes(), deps) };
  }
  const { GazelleSite } = await import("./gazelle/gazelle-site.ts");
  const { GazelleCalls } = await import("./gazelle/calls.ts");
  const { GazelleReports } = await import("./gazelle/reports.ts");
  const site = new GazelleSite(parts);
  const reportSecret = options.reportSecret === "" ? undefined : new Secret(options.reportSecret);
  const calls = new GazelleCalls({
    ...{ site, logger, secret, reportSecret, reports: new GazelleReports(site, numbers) },
  });
  return { site, listener: await createListener(options.listen, calls.routes(), deps) };
}

async function createListener(
  listen: string,
  routes: readonly Route[],
  deps: Pick<SiteDeps, "clock" | "logger">,
): Promise<SiteListener | undefined> {
  if (listen === "") return undefined;
  const { SiteListener } = await import("./site-listener.ts");
  const { parseListen } = await import("./listen.ts");
  const parsed = parseListen(listen);
  if (typeof parsed === "string") throw new Error(`private.listen: ${parsed}`);
  return new SiteListener(parsed, routes, deps);
}
