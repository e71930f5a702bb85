import { createHash, randomBytes } from "node:crypto";
import { findToken, hashToken as hashBytes, readBearerToken } from "../../http/bearer-token.ts";
import type { RouteRequest } from "../../http/routes.ts";
import type { Clock } from "../../lib/clock.ts";
import { isLoopback } from "../guard.ts";
import { type AdminToken, type Scope, scopes } from "../scopes.ts";
import { Problem } from "./problem.ts";

/** The scopes that each scope includes. */
const implied: Readonly<Record<Scope, readonly Scope[]>> = {
  read: ["read"],
  "peers:read": ["read", "peers:read"],
  write: ["read", "write"],
  admin: scopes,
};

/** The sender of a request. */
export interface Principal {
  /** The name of the token; `anonymous` without one, `socket` over the unix socket. */
  readonly name: string;
  readonly scopes: ReadonlySet<Scope>;
}

/** Facts about the listener of a request. */
export interface ListenerFacts {
  /** Whether only programs of this machine reach the listener. */
  readonly isLoopback: boolean;
  /** Whether the file mode of a unix socket admits only the operator. */
  readonly isTrusted: boolean;
  /** Whether browsers reach the listener over TLS. */
  readonly isSecure: boolean;
}

/** Maximum number of failures of a client in a period, and the period (a minute). */
const maxFailures = 10;
const failurePeriod = 60;
/** Maximum number of clients whose failures are counted. */
const maxFailing = 10_000;
/** Lifetime of a session in seconds, and maximum number of sessions. */
const sessionLifetime = 12 * 3600;
const maxSessions = 1000;

interface KnownToken {
  readonly hash: Buffer;
  readonly principal: Principal;
}

interface Session {
  /** The hash of the token that began the session. */
  readonly hash: Buffer;
  readonly until: number;
}

/**
 * Decides who may do what on the admin API. Tokens are compared by their SHA-256 hashes in constant time. A client with too
 * many wrong tokens gets 429 for further wrong tokens in the rest of a minute. The right token always opens, because behind a
 * proxy all clients have one address.
 */
export class Access {
  readonly #clock: Clock;
  #tokens: readonly KnownToken[] = [];
  readonly #sessions = new Map<string, Session>();
  readonly #failures = new Map<string, { count: number; until: number }>();

  constructor(tokens: readonly AdminToken[], clock: Clock) {
    this.#clock = clock;
    this.take(tokens);
  }

  /** Sets the tokens. A session keeps the scopes that its token has now; the session of a removed token ends. */
  take(tokens: readonly AdminToken[]): void {
    this.#tokens = tokens.map(({ name, hash, scopes: given }) => ({
      hash: Buffer.from(hash.slice("sha256:".length), "hex"),
      principal: { name, scopes: new Set(given.flatMap((scope) => implied[scope])) },
    }));
  }

  get hasTokens(): boolean {
    return this.#tokens.length > 0;
  }

  /** Finds out who sent a request. @throws Problem for wrong credentials */
  identify(request: RouteRequest, listener: ListenerFacts): Principal {
    // The operator's own socket needs no token, so wrong tokens of others must not close it.
    if (listener.isTrusted) return { name: "socket", scopes: new Set(scopes) };
    const authorization = request.headers.get("authorization");
    if (authorization !== undefined && /^bearer\b/i.test(authorization))
      return this.#check(readBearerToken(request.headers), request).principal;
    const principal = this.#findSession(request, listener);
    if (principal !== undefined) {
      if (!isSafe(request) && !request.headers.has("x-requested-with")) {
        throw new Problem(403, "a change by a session needs the header X-Requested-With");
      }
      return principal;
    }
    // A proxy may send on its own credentials, such as Basic, with each request of a browser.
    const isDirect = authorization === undefined && !isForwarded(request.headers);
    const isLocal = listener.isLoopback && isLoopback(request.client.toString()) && isDirect;
    return { name: "anonymous", scopes: new Set(isLocal ? ["read"] : []) };
  }

  /** @throws Problem if the principal lacks the scope */
  require({ name, scopes: own }: Principal, scope: Scope): void {
    if (own.has(scope)) return;
    if (name === "anonymous") {
      const challenge = `Bearer realm="chihaya", scope="${scope}"`;
      throw new Problem(401, `a token with the scope ${scope} is needed`, {
        headers: { "www-authenticate": challenge },
      });
    }
    throw new Problem(403, `the token lacks the scope ${scope}`);
  }

  /** Whether a principal still has a scope: a reload may have removed the token, or changed what it may do. */
  stillHas({ name }: Principal, scope: Scope): boolean {
    if (name === "anonymous" || name === "socket") return true;
    return this.#tokens.some(({ principal }) => principal.name === name && principal.scopes.has(scope));
  }

  /** Begins a session of a browser. @returns the cookie @throws Problem for a wrong token */
  open(
    token: string,
    request: RouteRequest,
    listener: ListenerFacts,
  ): { principal: Principal; cookie: string } {
    const { principal, hash } = this.#check(token, request);
    const id = randomBytes(32).toString("base64url");
    if (this.#sessions.size >= maxSessions) this.#sessions.delete(this.#sessions.keys().next().value!);
    const until = this.#clock.seconds + sessionLifetime;
    this.#sessions.set(hashId(id), { hash, until });
    return { principal, cookie: writeCookie(id, sessionLifetime, listener) };
  }

  /** Ends the session of a request. @returns the cookie that removes the browser's */
  close(request: RouteRequest, listener: ListenerFacts): string {
    const id = readCookie(request, listener);
    if (id !== undefined) this.#sessions.delete(hashId(id));
    return writeCookie("", 0, listener);
  }

  #findSession(request: RouteRequest, listener: ListenerFacts): Principal | undefined {
    const id = readCookie(request, listener);
    const session = id === undefined ? undefined : this.#sessions.get(hashId(id));
    if (session === undefined || session.until <= this.#clock.seconds) return undefined;
    return this.#tokens.find(({ hash }) => hash.equals(session.hash))?.principal;
  }

  #check(token: string | undefined, { client: address }: RouteRequest): KnownToken {
    const client = address.family === 6 ? address.words.slice(0, 2).join() : address.toString();
    const hashes = this.#tokens.map(({ hash }) => hash);
    const found = this.#tokens[findToken(token ?? "", hashes)];
    if (token !== undefined && found !== undefined) return found;
    const now = this.#clock.seconds;
    const failed = this.#failures.get(client);
    if (failed !== undefined && failed.until > now && failed.count >= maxFailures) {
      throw new Problem(429, "too many wrong tokens", {
        headers: { "retry-after": `${Math.ceil(failed.until - now)}` },
      });
    }
    if (this.#failures.size >= maxFailing) this.#failures.delete(this.#failures.keys().next().value!);
    if (failed !== undefined && failed.until > now) failed.count++;
    else this.#failures.set(client, { count: 1, until: now + failurePeriod });
    throw new Problem(401, "the token is wrong", {
      headers: { "www-authenticate": 'Bearer realm="chihaya", error="invalid_token"' },
    });
  }
}

/** @throws Problem if the URL has a token, which logs of proxies and histories of browsers would keep */
export function refuseTokenInUrl({ query }: Pick<RouteRequest, "query">): void {
  for (const name of ["token", "access_token", "api_key"]) {
    if (query.has(name))
      throw new Problem(400, "a token in the URL would be logged; send it as Authorization: Bearer");
  }
}

/** Hashes a token as the configuration keeps it. */
export function hashToken(token: string): string {
  return `sha256:${hashBytes(token).toString("hex")}`;
}

/** Makes a token of 32 random bytes. */
export function createToken(): string {
  return randomBytes(32).toString("base64url");
}

function isSafe({ method }: RouteRequest): boolean {
  return method === "GET" || method === "HEAD";
}

/** Whether a header shows that a proxy has forwarded the request. */
function isForwarded(headers: RouteRequest["headers"]): boolean {
  for (const name of headers.keys()) if (/^(forwarded|via|x-real-ip|x-forwarded-.*)$/.test(name)) return true;
  return false;
}

function hashId(id: string): string {
  return createHash("sha256").update(id).digest("base64");
}

/** Browsers take a name with this prefix only over TLS, for this host and all paths. */
function cookieName({ isSecure }: ListenerFacts): string {
  return isSecure ? "__Host-chihaya" : "chihaya";
}

function readCookie({ headers }: RouteRequest, listener: ListenerFacts): string | undefined {
  const name = cookieName(listener);
  for (const pair of (headers.get("cookie") ?? "").split(/; ?|, /)) {
    if (pair.startsWith(`${name}=`)) return pair.slice(name.length + 1);
  }
  return undefined;
}

function writeCookie(id: string, age: number, listener: ListenerFacts): string {
  const secure = listener.isSecure ? "; Secure" : "";
  return `${cookieName(listener)}=${id}; Path=/; Max-Age=${age}; HttpOnly; SameSite=Strict${secure}`;
}
