import { isIP } from "node:net";

/** The parts of a request that the guard reads. */
export interface GuardedRequest {
  readonly method: string;
  /** A path, or a URL, as the client sent it. */
  readonly target: string;
  /** By name in lower case; several lines of one name are one value with commas. */
  readonly headers: ReadonlyMap<string, string>;
}

/** The names under which a listener may be addressed. */
export interface GuardOptions {
  /** The address that the listener is bound to; undefined for a unix socket. */
  readonly bound: string | undefined;
  /** Further names and addresses, in lower case. */
  readonly hosts: readonly string[];
}

/** Why the guard refuses a request. */
export interface Refusal {
  readonly status: 403 | 421;
  readonly detail: string;
}

/**
 * Decides whether a web page of another site may be behind a request.
 *
 * A page of `evil.example` reaches a listener on a private address through the browser of an operator. With DNS rebinding
 * the browser even takes that listener for the page's own server. So the `Host` must be the bound address (any address, if
 * the listener is bound to all), `localhost`, or one of `hosts`. If the browser names the origin of the page, the origin
 * must be this listener: another port of the same machine is another site.
 * @returns undefined if the request is allowed
 */
export function refuseForeign(
  { method, target, headers }: GuardedRequest,
  { bound, hosts }: GuardOptions,
): Refusal | undefined {
  const host = headers.get("host")?.toLowerCase() ?? "";
  const name = hostName(host);
  const own = URL.canParse(`http://${host}`) ? new URL(`http://${host}`).host : undefined;
  if (name === undefined || own === undefined || !isOwnName(name, bound, hosts) || !target.startsWith("/")) {
    const detail = "the Host must be the address of this listener, localhost, or one of admin.hosts";
    return { status: 421, detail };
  }
  if (method === "OPTIONS") return foreign; // a browser asks on behalf of another site
  const site = headers.get("sec-fetch-site");
  if (site !== undefined && site !== "none" && site !== "same-origin") return foreign;
  for (const header of ["origin", "referer"]) {
    const from = headers.get(header);
    if (from === undefined) continue;
    if (!URL.canParse(from) || new URL(from).host !== own) return foreign;
  }
  return undefined;
}

const foreign: Refusal = { status: 403, detail: "requests of other sites are refused" };

function isOwnName(name: string, bound: string | undefined, hosts: readonly string[]): boolean {
  if (bound === undefined || name === "localhost" || hosts.includes(name)) return true;
  if (isIP(name) === 0) return false;
  if (bound === "0.0.0.0" || bound === "::") return true;
  return name === bound || (isLoopback(bound) && isLoopback(name));
}

/** Returns whether an address, in its usual form, is of this machine alone. */
export function isLoopback(address: string): boolean {
  return address === "::1" || /^127(\.\d{1,3}){3}$/.test(address);
}

/** The name or address of a `Host`, without brackets and port; undefined if malformed. */
function hostName(host: string): string | undefined {
  const [, address, name] = /^(?:\[([\da-f:.]+)\]|([a-z\d._-]+))(?::\d{1,5})?$/.exec(host) ?? [];
  if (address !== undefined) return isIP(address) === 6 ? address : undefined;
  return name;
}
