import { setTimeout } from "node:timers/promises";
import { parseArgs } from "node:util";
import { formatDiagnostics } from "../../config/diagnostics.ts";
import { loadUnchecked } from "../../config/load.ts";
import { findConfigFile } from "../../config/source.ts";
import { legible } from "../../lib/legible.ts";
import { runtimeSocket } from "../../net/socket-path.ts";
import { parseMilliseconds, runReporting, UsageError } from "../client-command.ts";
import { ExitCode } from "../command.ts";
import { ask, describeEndpoint, type Endpoint, NoReply, parseUrl, type Reply } from "../operator-client.ts";
import { findRunningSockets } from "../running-sockets.ts";
import { complain, print } from "../terminal.ts";

/** The socket of the unit deploy/chihaya.service. */
const unitSocket = "/run/chihaya/chihaya.sock";

/** Longest time to wait for the socket of a starting tracker, and the pause between two tries, in milliseconds. */
const startMs = 30_000;
const retryMs = 100;

/** The help of `chihaya reload`. */
export const help: string = `Reloads the configuration of a running tracker, waits, and prints the result.

Usage: chihaya reload [OPTIONS]

  --socket PATH       the unix socket of the tracker (default: see below)
  --url URL           asks over HTTP instead, such as http://127.0.0.1:6880
  --token-file FILE   with --url: the file that holds a token with the scope admin
  --config FILE       the configuration that names admin.socket (default: see chihaya serve --help)
  --timeout DURATION  gives up after this time (default 80s)
  --json              prints the result as JSON

Without --socket and --url, the socket is the first of these on which a tracker listens: admin.socket of the configuration,
chihaya.sock in the directory of the variable RUNTIME_DIRECTORY, that of a process which runs with the configuration (Linux),
${unitSocket}.

The tracker reads the configuration that it was started with. If there is an error in it, the tracker goes on with the
old configuration.

Exit codes: 0 reloaded (some keys may need a restart), 1 no tracker responded or the request was refused, 2 wrong usage,
78 the configuration is invalid.
`;

/** Runs `chihaya reload`. @param args  after the name of the command */
export function run(args: string[]): Promise<number> {
  return runReporting("reload", async () => {
    const { values } = parseArgs({
      args,
      options: {
        socket: { type: "string" },
        url: { type: "string" },
        "token-file": { type: "string" },
        config: { type: "string" },
        timeout: { type: "string", default: "80s" },
        json: { type: "boolean", default: false },
      },
    });
    const { socket, url, "token-file": tokenFile } = values;
    if (url !== undefined && socket !== undefined)
      throw new UsageError("--url and --socket exclude each other");
    if (url === undefined && tokenFile !== undefined) throw new UsageError("--token-file: needs --url");
    const timeoutMs = parseMilliseconds("--timeout", values.timeout);
    const given = url === undefined ? socket && { socket } : parseUrl(url, tokenFile);
    try {
      if (given) return report(given, await requestReload(given, timeoutMs), values.json);
      const { endpoint, reply } = await askFirst(values.config, timeoutMs);
      return report(endpoint, reply, values.json);
    } catch (error) {
      if (!(error instanceof NoReply)) throw error;
      complain(`chihaya reload: ${error.message}\n`);
      return ExitCode.failed;
    }
  });
}

function requestReload(endpoint: Endpoint, timeoutMs: number): Promise<Reply> {
  return ask(endpoint, "POST", "/api/v1/reload", timeoutMs);
}

/** Asks on the first socket on which a tracker listens. @throws NoReply */
async function askFirst(
  config: string | undefined,
  timeoutMs: number,
): Promise<{ endpoint: Endpoint; reply: Reply }> {
  const file = findConfigFile(config, process.env);
  const { config: loaded, errors } = loadUnchecked({ file, env: process.env });
  const configured = loaded?.admin?.socket ?? "auto";
  const named = [configured === "auto" ? "" : configured, runtimeSocket(process.env) ?? ""].filter(Boolean);
  async function* sockets(): AsyncGenerator<string> {
    yield* named;
    // The file may name another socket than the tracker was started with.
    if (file !== undefined) yield* await findRunningSockets(file);
    yield unitSocket;
  }
  // systemd runs the command only while the main process runs, so the socket will come if the tracker is starting.
  const until = performance.now() + (process.env.MAINPID ? Math.min(startMs, timeoutMs) : 0);
  for (;;) {
    for await (const socket of sockets()) {
      try {
        return { endpoint: { socket }, reply: await requestReload({ socket }, timeoutMs) };
      } catch (error) {
        if (!(error instanceof NoReply) || !error.isAbsent) throw error;
      }
    }
    if (performance.now() >= until) break;
    await setTimeout(retryMs);
  }
  // Only a file without errors of syntax says where the tracker listens.
  if (loaded === undefined) complain(formatDiagnostics(errors));
  const lacksFile = file === undefined ? "there is no configuration file; " : "";
  const tried = [...new Set([...named, unitSocket])].join(" or ");
  const remedy = "start the tracker with RUNTIME_DIRECTORY or admin.socket set, or give --socket or --url";
  throw new NoReply(`${lacksFile}no tracker listens on ${tried}; ${remedy}`, true);
}

/** The parts of a response that are printed. All of it comes from whatever listens there. */
interface Body {
  readonly file?: unknown;
  readonly reloaded?: unknown;
  readonly applied?: unknown;
  readonly needs_restart?: unknown;
  readonly warnings?: unknown;
  readonly detail?: unknown;
  readonly errors?: unknown;
}

function report(endpoint: Endpoint, { status, body }: Reply, json: boolean): number {
  const result = (typeof body === "object" && body !== null ? body : {}) as Body;
  const isDone = status === 200 && result.reloaded === true;
  const isRefused = status === 409;
  const code = isDone ? ExitCode.ok : isRefused ? ExitCode.config : ExitCode.failed;
  if (json && (isDone || isRefused)) print(`${JSON.stringify(body, null, 2)}\n`);
  else if (isDone) print(describeDone(result));
  else if (isRefused)
    complain(`chihaya reload: the tracker goes on with the old configuration:\n${listFaults(result.errors)}`);
  else complain(`chihaya reload: ${describeEndpoint(endpoint)}: ${describeFailure(status, result)}\n`);
  return code;
}

function describeDone({ file, applied, needs_restart, warnings }: Body): string {
  const [changed, waiting] = [list(applied), list(needs_restart)].map((keys) => keys.map(legibleText));
  const lines = [
    typeof file === "string"
      ? `${legible(file)}: reloaded`
      : "reloaded, but the tracker runs without a configuration file, so no setting can have changed",
    ...(changed!.length > 0 ? [`applied: ${changed!.join(", ")}`] : []),
    ...(waiting!.length > 0 ? [`needs a restart: ${waiting!.join(", ")}`] : []),
    ...(changed!.length + waiting!.length === 0 && typeof file === "string"
      ? ["no setting has changed"]
      : []),
  ];
  const warned = list(warnings).map((warning) =>
    joined([text(warning, "at"), "warning", text(warning, "path"), text(warning, "message")]),
  );
  return [...lines, ...warned].map((line) => `${line}\n`).join("");
}

function listFaults(errors: unknown): string {
  return list(errors)
    .map((error) => `${joined([text(error, "at"), text(error, "detail")])}\n`)
    .join("");
}

/** Returns a text of an object; "" if there is none. */
function text(value: unknown, name: string): string {
  const found = (value as Record<string, unknown>)[name];
  return typeof found === "string" ? legible(found) : "";
}

function joined(parts: readonly string[]): string {
  return parts.filter((part) => part !== "").join(": ");
}

function describeFailure(status: number, body: Body): string {
  const detail = text(body, "detail");
  if (status === 401 && detail !== "") return `${detail}; give one with --token-file FILE`;
  if (detail === "" && (status === 404 || status === 405))
    return "there is no admin API on this listener; add the block admin, or use the unix socket";
  return joined([`status ${status}`, detail]);
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value.filter((one) => one !== null && one !== undefined) : [];
}

function legibleText(value: unknown): string {
  return legible(`${value}`);
}
