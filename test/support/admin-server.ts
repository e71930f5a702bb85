import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import type { TestContext } from "node:test";
import { portableNetwork } from "../../src/net/network.ts";
import { type LogFields, type Logger, silentLogger } from "../../src/observability/logger.ts";
import { Metrics } from "../../src/observability/metrics.ts";
import { Admin, type AdminDeps } from "../../src/operator/admin.ts";
import { hashToken } from "../../src/operator/api/access.ts";
import { OperatorServer } from "../../src/operator/operator-server.ts";
import type { Scope } from "../../src/operator/scopes.ts";
import { createAdminState } from "./admin-state.ts";

/** A response of the admin API. */
export interface Reply {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests compare it
  readonly body: any;
}

/** Sends a request to the admin API, with a token whose name is its scope. */
export type Ask = (method: string, path: string, body?: unknown, token?: Scope | "") => Promise<Reply>;

/** Starts the admin API on a listener of its own. Other parts of the process are as in `given`, or missing. */
export async function startAdmin(
  t: TestContext,
  given: Partial<AdminDeps> = {},
): Promise<{ ask: Ask; lines: LogFields[] }> {
  const { clock = { seconds: 1000, unixSeconds: 1_700_000_000 } } = given;
  const lines: LogFields[] = [];
  const logger: Logger = { ...silentLogger, info: (fields) => void lines.push(fields) };
  const tokens = (["read", "peers:read", "write", "admin"] as const).map((scope) => ({
    name: scope,
    hash: hashToken(scope),
    scopes: [scope],
  }));
  const metrics = new Metrics();
  const { state } = given.state ? { state: given.state } : await createAdminState({ clock });
  const options = {
    ...{
      addr: [],
      tlsCertPath: "",
      tlsKeyPath: "",
      behindProxy: false,
      hosts: [],
      tokens,
      socket: "",
      state: "",
    },
  };
  const admin = new Admin(options, {
    version: "1.2.3",
    clock,
    logger,
    state,
    scrape: () => metrics.scrape(),
    onError: (error: Error) => {
      throw error;
    },
    ...given,
  } as AdminDeps);
  const server = new OperatorServer(
    { listen: { host: "127.0.0.1", port: 0 }, profiling: false, version: "1.2.3" },
    { metrics, isReady: () => ({}), network: portableNetwork, clock, admin },
  );
  await server.start();
  t.after(() => server.stop());
  const ask: Ask = async (method, path, body, token = "admin") => {
    const asked = request(`${server.url}/api/v1${path}`, {
      method,
      agent: false,
      headers: {
        ...(token !== "" && { authorization: `Bearer ${token}` }),
        ...(body !== undefined && { "content-type": "application/json" }),
      },
    }).end(body === undefined ? undefined : typeof body === "string" ? body : JSON.stringify(body));
    const [response] = (await once(asked, "response")) as [IncomingMessage];
    let text = "";
    for await (const chunk of response.setEncoding("utf8")) text += chunk;
    const isJson = /^application\/(problem\+)?json$/.test(`${response.headers["content-type"]}`);
    const { statusCode: status = 0, headers } = response;
    return { status, headers, text, body: isJson && text !== "" ? JSON.parse(text) : undefined };
  };
  return { ask, lines };
}
