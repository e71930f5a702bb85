import { type Endpoint, endpoint } from "../endpoint.ts";
import { Problem } from "../problem.ts";
import { boolean, list, nullable, object, optional, type Shape, string } from "../shape.ts";

/** One problem with a configuration. */
export interface ReloadDiagnostic {
  readonly message: string;
  /** The file, with line and column. */
  readonly at?: string | undefined;
  /** The key of the configuration. */
  readonly path?: string | undefined;
}

/** The result of a reload. */
export interface ReloadReport {
  /** The file that was read; null for built-in defaults. */
  readonly file: string | null;
  /** Whether the tracker runs with the new configuration. */
  readonly reloaded: boolean;
  /** Changed keys whose new values are in use now. */
  readonly applied: readonly string[];
  /** Keys whose new values wait for a restart. */
  readonly needs_restart: readonly string[];
  readonly warnings: readonly ReloadDiagnostic[];
  /** Why the configuration was refused. */
  readonly errors: readonly ReloadDiagnostic[];
}

const diagnostics = list(
  object({
    message: string(),
    at: optional(string("The file, with line and column.")),
    path: optional(string("The key of the configuration.")),
  }),
);

const reportShape: Shape<ReloadReport> = object({
  file: nullable(string("The file that was read; null for built-in defaults.")),
  reloaded: boolean("Whether the tracker runs with the new configuration."),
  applied: list(string(), "Changed keys whose new values are in use now."),
  needs_restart: list(string(), "Keys whose new values wait for a restart."),
  warnings: diagnostics,
  errors: diagnostics,
});

/** A configuration as operators see it. */
export interface RunningConfig {
  /** Null for built-in defaults. */
  readonly file: string | null;
  /** The whole configuration as a file, with defaults, secrets masked. */
  readonly yaml: string;
  /** Keys of `yaml` that run with an older value until a restart. */
  readonly needs_restart: readonly string[];
}

/** What `/config` and `/reload` need. */
export interface ControlDeps {
  /** Reads the configuration again and applies it. */
  reload(): Promise<ReloadReport>;
  /** @param showsPeers  whether networks in hooks are shown whole, or cut to /24 and /48 */
  describeConfig(showsPeers: boolean): Promise<RunningConfig>;
}

/** Makes `/config` and `/reload`. */
export function controlEndpoints({ reload, describeConfig }: ControlDeps): Endpoint[] {
  return [
    endpoint({
      method: "GET",
      path: "/config",
      scope: "read",
      summary:
        "The configuration that was applied last, with secrets masked; without the scope peers:read, networks of hooks are cut to /24 and /48",
      response: object({
        file: nullable(string("The file; null for built-in defaults.")),
        yaml: string("The whole configuration as a file."),
        needs_restart: list(string(), "Keys that run with an older value until a restart."),
      }),
      handle: ({ principal }) => describeConfig(principal.scopes.has("peers:read")),
    }),
    endpoint({
      method: "POST",
      path: "/reload",
      scope: "admin",
      summary: "Read the configuration again and apply it",
      response: reportShape,
      problems: [409],
      async handle({ audit }) {
        const report = await reload();
        audit({ reloaded: report.reloaded, needsRestart: report.needs_restart });
        if (!report.reloaded) {
          throw new Problem(409, "the configuration was refused", {
            faults: report.errors.map(({ path = "", at = "", message }) => ({
              at: at || path,
              detail: at === "" || path === "" ? message : `${path}: ${message}`,
            })),
          });
        }
        return report;
      },
    }),
  ];
}
