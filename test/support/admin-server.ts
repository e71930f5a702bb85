import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import type { TestContext } from "node:test";
import { portableNetwork } from "../../src/net/network.ts";
import { type LogFields, type Logger, silentLogger } from "../../src/observability/logger.ts";
import { Metrics } from "../../src/observability/metrics.ts";
import { Admin, type AdminDeps } from "../../src/operator/admin.ts";
import { hashToken } from "../../src/operator/api/access.ts";
import { OperatorServer } from "../../src/operator/operator-server.ts";
import type { AdminToken, Scope } from "../../src/operator/scopes.ts";
import { createAdminState } from "./admin-state.ts";
import { noLag } from "./no-lag.ts";

/** A token for each scope, which is the name of the scope. */
export const adminTokens: readonly AdminToken[] = (["read", "peers:read", "write", "admin"] as const).map(
  (scope) => ({ name: scope, hash: hashToken(scope), scopes: [scope] }),
);

/** A response, with its body as text. */
export interface PlainReply {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly text: string;
}

/** A response of the admin API. `body` is undefined unless the response is a JSON document. */
// biome-ignore lint/suspicious/noExplicitAny: tests compare it
export interface Reply<Body = any> extends PlainReply {
  readonly body: Body;
}

/** Sends a request to the admin API, with one of {@link adminTokens}, or with "" for none. */
// biome-ignore lint/suspicious/noExplicitAny: tests compare it
export type Ask<Body = any> = (
  method: string,
  path: string,
  body?: unknown,
  token?: Scope | "",
) => Promise<Reply<Body>>;

/** Sends a request on a connection of its own, with any headers. */
export async function send(
  url: string,
  method: string,
  headers: Readonly<Record<string, string>>,
  body?: string,
): Promise<PlainReply> {
  const asked = request(url, { method, agent: false, headers }).end(body);
  const [response] = (await once(asked, "response")) as [IncomingMessage];
  let text = "";
  for await (const chunk of response.setEncoding("utf8")) text += chunk;
  return { status: response.statusCode!, headers: response.headers, text };
}

/** Returns a client of the admin API at a URL, such as `http://127.0.0.1:6880`. The API accepts {@link adminTokens}. */
// biome-ignore lint/suspicious/noExplicitAny: tests compare it
export function askAt<Body = any>(url: string): Ask<Body> {
  return async (method, path, body, token = "admin") => {
    const headers = {
      ...(token !== "" && { authorization: `Bearer ${token}` }),
      ...(body !== undefined && { "content-type": "application/json" }),
    };
    const given = body === undefined || typeof body === "string" ? body : JSON.stringify(body);
    const reply = await send(`${url}/api/v1${path}`, method, headers, given);
    const isJson = /^application\/(problem\+)?json$/.test(`${reply.headers["content-type"]}`);
    return { ...reply, body: isJson && reply.text !== "" ? JSON.parse(reply.text) : undefined };
  };
}

/** Starts the admin API on a listener of its own. Other parts of the process are as in `given`, or missing. */
export async function startAdmin(
  t: TestContext,
  { metrics = new Metrics(), ...given }: Partial<AdminDeps> & { readonly metrics?: Metrics } = {},
): Promise<{ ask: Ask; lines: LogFields[]; url: string; admin: Admin }> {
  const { clock = { seconds: 1000, unixSeconds: 1_700_000_000 } } = given;
  const lines: LogFields[] = [];
  const logger: Logger = { ...silentLogger, info: (fields) => void lines.push(fields) };
  const { state } = given.state ? { state: given.state } : await createAdminState({ clock });
  const options = {
    ...{
      addr: [],
      tlsCertPath: "",
      tlsKeyPath: "",
      behindProxy: false,
      hosts: [],
      tokens: adminTokens,
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
    { metrics, isReady: () => ({}), network: portableNetwork, clock, lag: noLag, admin },
  );
  await server.start();
  t.after(() => server.stop());
  return { ask: askAt(server.url), lines, url: server.url, admin };
}
