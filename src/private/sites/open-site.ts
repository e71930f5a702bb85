import { readFileSync } from "node:fs";
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
  const mysql = new Mysql(options.database);
  const ledger = new Ledger(mysql, options.ledger);
  const { GazelleSite } = await import("./gazelle/gazelle-site.ts");
  const { GazelleCalls } = await import("./gazelle/calls.ts");
  const { GazelleReports } = await import("./gazelle/reports.ts");
  const site = new GazelleSite({ mysql, ledger, now: () => clock.unixSeconds });
  const calls = new GazelleCalls({
    ...{ site, logger, reports: new GazelleReports(site, numbers) },
    secret: new Secret(readSecret(options.secretFile)),
    reportSecret:
      options.reportSecretFile === "" ? undefined : new Secret(readSecret(options.reportSecretFile)),
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

function readSecret(path: string): string {
  return readFileSync(path, "latin1").trim();
}
