import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import type { Route, RouteResponse } from "../../http/routes.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Logger } from "../../observability/logger.ts";
import { type PrivateOptions, parseDatabase } from "../options.ts";
import type { Site } from "../site.ts";
import type { SiteListener } from "./site-listener.ts";
import { openDatabase } from "./sql/open-database.ts";
import { SqlSite } from "./sql/sql-site.ts";
import type { TrackerNumbers, TrackerTraffic } from "./tracker-numbers.ts";

/** The collaborators of {@link createSite}. */
export interface SiteDeps {
  clock: Clock;
  logger: Logger;
  numbers(): TrackerNumbers;
  traffic(): Promise<TrackerTraffic>;
}

/** A site, and the listener for its calls if it has calls. */
export interface CreatedSite {
  site: Site;
  listener: SiteListener | undefined;
  /** Serves a call of the site that has come to the tracker's own address. A site without such calls has no such method. */
  call?(target: string): Promise<RouteResponse>;
}

/**
 * Creates the site of the options, for the program that has its accounts. Connects to no server yet.
 * @throws SiteInUseError if another program has; Error that names a missing package or file, and the remedy
 */
export async function createSite(options: PrivateOptions, deps: SiteDeps): Promise<CreatedSite> {
  const { database, password, secretFile } = options;
  if (options.site === "gazelle" || options.site === "unit3d") return createMysqlSite(options, deps);
  const open = await openDatabase(database, password, { isExclusive: true });
  if (options.site === "sql") return { site: new SqlSite(open), listener: undefined };
  if (options.url === "") {
    const { FetchedSite } = await import("./http/fetched-site.ts");
    return { site: new FetchedSite(open), listener: undefined };
  }
  const { HttpSite } = await import("./http/http-site.ts");
  const { parseWebhookSecret } = await import("./http/sign-webhook.ts");
  const key = parseWebhookSecret(readFileSync(secretFile, "utf8"));
  return { site: new HttpSite({ open, url: options.url, key }), listener: undefined };
}

/** Creates a site that has software of its own. */
async function createMysqlSite(options: PrivateOptions, deps: SiteDeps): Promise<CreatedSite> {
  const { Ledger } = await import("./mysql/ledger.ts");
  const { Mysql } = await import("./mysql/mysql.ts");
  const { Secret } = await import("./site-listener.ts");
  const { clock, logger, numbers, traffic } = deps;
  const { database, password } = options;
  const parsed = parseDatabase(database);
  if (parsed.kind !== "mysql") throw new Error(`the site ${options.site} needs MariaDB or MySQL`);
  // UNIT3D has its times in UTC. Gazelle uses the time zone of the server.
  const setup = options.site === "unit3d" ? { setup: "SET time_zone = '+00:00'" } : {};
  const mysql = new Mysql(parsed.url, { ...(password !== "" && { password }), ...setup, isExclusive: true });
  const parts = { mysql, ledger: new Ledger(mysql, options.ledger), now: () => clock.unixSeconds };
  // Without a file, no call has the secret.
  const secret = new Secret(readSecret(options.secretFile) ?? randomUUID());
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
  const tokens = { ...parts, url: options.url, secret: readSecret(options.secretFile) ?? "", logger };
  const { UsedTokens } = options.url === "" ? {} : await import("./gazelle/used-tokens.ts");
  const site = new GazelleSite(parts, UsedTokens && new UsedTokens(tokens));
  const report = readSecret(options.reportSecretFile);
  const reportSecret = report === undefined ? undefined : new Secret(report);
  const calls = new GazelleCalls({
    ...{ site, logger, secret, reportSecret, reports: new GazelleReports(site, numbers, traffic) },
  });
  const listener = await createListener(options.listen, calls.routes(), deps);
  return { site, listener, call: (target) => calls.handle({ target }) };
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

/** Reads a secret for the path of calls; undefined without a file. @throws Error that names the file and the remedy */
export function readSecret(path: string): string | undefined {
  if (path === "") return undefined;
  const secret = readFileSync(path, "latin1").trim();
  if (!/^[\w.~-]{32,}$/.test(secret) || new Set(secret).size === 1)
    throw new Error(`${path}: expected a secret of at least 32 letters, digits, and characters of -._~`);
  return secret;
}
