import { existsSync } from "node:fs";
import { parseArgs } from "node:util";
import { legible } from "../../lib/legible.ts";
import { runtimeSocket } from "../../net/socket-path.ts";
import { parseAddresses } from "../../options/addresses.ts";
import { parseMilliseconds, runReporting, UsageError } from "../client-command.ts";
import { ExitCode } from "../command.ts";
import { ask, describeEndpoint, type Endpoint, NoReply, parseUrl } from "../operator-client.ts";
import { complain, print } from "../terminal.ts";

/** The help of `chihaya health`. */
export const help: string = `Asks a running tracker whether it can serve every request.

Usage: chihaya health [OPTIONS]

  --url URL           the listener of metrics_addr (default: that of the variable CHIHAYA_METRICS_ADDR, else
                      http://127.0.0.1:6880)
  --socket PATH       asks over the unix socket of the tracker instead (default: chihaya.sock in the directory of the
                      variable RUNTIME_DIRECTORY, if there is one)
  --timeout DURATION  gives up after this time (default 5s)

The command asks for /readyz. It prints "ready" or the reason of each part that is not ready. It reads no configuration.

Exit codes: 0 ready, 1 not ready or no response, 2 wrong usage.
`;

const defaultUrl = "http://127.0.0.1:6880";

/** Runs `chihaya health`. @param args  after the name of the command */
export function run(args: string[]): Promise<number> {
  return runReporting("health", async () => {
    const { values } = parseArgs({
      args,
      options: {
        url: { type: "string" },
        socket: { type: "string" },
        timeout: { type: "string", default: "5s" },
      },
    });
    if (values.url !== undefined && values.socket !== undefined)
      throw new UsageError("--url and --socket exclude each other");
    const timeoutMs = parseMilliseconds("--timeout", values.timeout);
    const endpoint = findEndpoint(values);
    try {
      const { status, body } = await ask(endpoint, "GET", "/readyz", timeoutMs);
      return report(endpoint, status, body);
    } catch (error) {
      if (!(error instanceof NoReply)) throw error;
      complain(`not ready: ${error.message}\n`);
      return ExitCode.failed;
    }
  });
}

function findEndpoint({ url, socket }: { url?: string; socket?: string }): Endpoint {
  if (url !== undefined) return parseUrl(url, undefined);
  const path = socket ?? runtimeSocket(process.env);
  if (path !== undefined && (socket !== undefined || existsSync(path))) return { socket: path };
  return { url: urlOf(process.env.CHIHAYA_METRICS_ADDR) ?? defaultUrl };
}

/** Returns the URL of a listener as this machine reaches it; undefined without a usable address. */
function urlOf(address: string | undefined): string | undefined {
  const [listen] = parseAddresses(address ? [address] : [], () => undefined);
  if (listen === undefined) return undefined;
  const host = { "0.0.0.0": "127.0.0.1", "::": "[::1]" }[listen.host];
  return `http://${host ?? (listen.host.includes(":") ? `[${listen.host}]` : listen.host)}:${listen.port}`;
}

function report(endpoint: Endpoint, status: number, body: unknown): number {
  const { components } = (body ?? {}) as { components?: Record<string, unknown> };
  if (typeof components !== "object" || components === null || (status !== 200 && status !== 503)) {
    complain(
      `not ready: ${describeEndpoint(endpoint)}: expected the health of a tracker, got status ${status}\n`,
    );
    return ExitCode.failed;
  }
  const lines = Object.entries(components)
    .filter(([, state]) => state !== "ready")
    .map(([name, state]) => `${legible(name)}: ${legible(`${state}`)}\n`);
  if (status === 200) {
    print(`ready\n${lines.join("")}`);
    return ExitCode.ok;
  }
  complain(`not ready\n${lines.join("")}`);
  return ExitCode.failed;
}
