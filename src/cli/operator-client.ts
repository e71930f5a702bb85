/** Requests of commands to a running tracker: over its unix socket, or over HTTP. */
import type { IncomingMessage, RequestOptions } from "node:http";
import { cannotRead } from "../lib/file-errors.ts";
import { legible } from "../lib/legible.ts";
import { readText } from "../lib/read-text.ts";
import { UsageError } from "./client-command.ts";

/** Where a running tracker is reached. */
export type Endpoint = { readonly socket: string } | { readonly url: string; readonly token?: string };

/** A response of the tracker. */
export interface Reply {
  readonly status: number;
  /** The parsed body, or its text if it is not JSON. */
  readonly body: unknown;
}

/** No response: the message says where, why and what to do. */
export class NoReply extends Error {
  /** Whether no process listens there. */
  readonly isAbsent: boolean;

  constructor(message: string, isAbsent: boolean, cause?: unknown) {
    super(message, { cause });
    this.isAbsent = isAbsent;
  }
}

/** Timers of Node.js cannot be longer, in milliseconds. */
const longestTimer = 2 ** 31 - 1;
/** Longest body of a response. */
const maxBody = 16 * 1024 * 1024;

/** Reads `--url` and `--token-file`. @throws UsageError */
export function parseUrl(text: string, tokenFile: string | undefined): Endpoint {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol))
    throw new UsageError("--url: expected the URL of the listener, such as http://127.0.0.1:6880");
  if (url.username !== "" || url.password !== "" || url.search !== "" || url.hash !== "")
    throw new UsageError("--url: takes no token, user or query; give the token with --token-file FILE");
  const base = url.href.replace(/\/$/, "");
  if (tokenFile === undefined) return { url: base };
  return { url: base, token: readToken(tokenFile) };
}

function readToken(file: string): string {
  const read = readText(file);
  if ("problem" in read) throw new UsageError(`--token-file: ${cannotRead(file, read.problem)}`);
  const token = read.text.trim();
  if (!/^[\x21-\x7e]+$/.test(token))
    throw new UsageError(`--token-file: ${file} must hold one token and nothing else`);
  return token;
}

/** Sends a request without a body. @throws NoReply */
export async function ask(
  endpoint: Endpoint,
  method: "GET" | "POST",
  path: string,
  timeoutMs: number,
): Promise<Reply> {
  const isTls = "url" in endpoint && endpoint.url.startsWith("https:");
  const { request } = await (isTls ? import("node:https") : import("node:http"));
  const headers: Record<string, string> = { connection: "close" };
  const options: RequestOptions = { method, headers, agent: false };
  if ("socket" in endpoint) Object.assign(options, { socketPath: endpoint.socket });
  else if (endpoint.token !== undefined) headers.authorization = `Bearer ${endpoint.token}`;
  const base = "socket" in endpoint ? "http://localhost" : endpoint.url;
  return new Promise((resolve, reject) => {
    const sent = request(`${base}${path}`, options, (response) => {
      readReply(response).then(resolve, (error) => reject(explain(endpoint, error)));
    });
    // A timer and not the option `timeout`, which starts again with each byte.
    const timer = setTimeout(
      () => sent.destroy(new Error(`no response within ${timeoutMs / 1000} s`)),
      Math.min(timeoutMs, longestTimer),
    );
    sent.once("error", (error) => reject(explain(endpoint, error)));
    sent.once("close", () => clearTimeout(timer));
    sent.end();
  });
}

async function readReply(response: IncomingMessage): Promise<Reply> {
  const { statusCode: status = 0 } = response;
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of response) {
    chunks.push(chunk);
    length += chunk.length;
    if (length > maxBody) throw new Error(`the response is longer than ${maxBody} bytes`);
  }
  const text = Buffer.concat(chunks).toString();
  try {
    return { status, body: JSON.parse(text) };
  } catch {
    return { status, body: text };
  }
}

function explain(endpoint: Endpoint, cause: NodeJS.ErrnoException): NoReply {
  // Node.js tries several addresses of a name, and reports all errors.
  const { code = (cause as { errors?: NodeJS.ErrnoException[] }).errors?.[0]?.code ?? "", message } = cause;
  const where = describeEndpoint(endpoint);
  const why = "socket" in endpoint ? socketErrors[code] : urlErrors[code];
  const isAbsent = code === "ENOENT" || code === "ECONNREFUSED";
  return new NoReply(`${where}: ${legible(why ?? message)}`, isAbsent, cause);
}

/** Describes where a tracker is reached, for messages. */
export function describeEndpoint(endpoint: Endpoint): string {
  return "socket" in endpoint ? endpoint.socket : endpoint.url;
}

const notRunning = "no tracker listens there; is it running?";

const socketErrors: Readonly<Record<string, string>> = {
  ENOENT: notRunning,
  ECONNREFUSED: notRunning,
  ENOTSOCK: "the file is no socket",
  EACCES: "no permission to open the socket; run the command as root or as the user of the tracker",
  EPERM: "no permission to open the socket; run the command as root or as the user of the tracker",
  ECONNRESET: "the tracker closed the connection; did it stop?",
};

const urlErrors: Readonly<Record<string, string>> = {
  ECONNREFUSED: notRunning,
  ENOTFOUND: "the name of the host is unknown",
  ECONNRESET: "the connection was closed without a response",
  EPROTO: "the listener does not speak TLS; use http://",
  ERR_SSL_WRONG_VERSION_NUMBER: "the listener does not speak TLS; use http://",
};
