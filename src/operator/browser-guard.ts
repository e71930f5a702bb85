import { isIP } from "node:net";

/** What a request says of itself, as far as the guard looks at it. */
export interface GuardedRequest {
  /** As it was sent: a path, or a URL. */
  readonly target: string;
  /** By name in lower case; several lines of one name are one value with commas. */
  readonly headers: ReadonlyMap<string, string>;
}

/**
 * Tells whether a page of another site may be behind a request, so that it must not get what is only for operators.
 *
 * A page of `evil.example` reaches a listener on a private address through the browser of an operator. If its name is made
 * to stand for that address (DNS rebinding) the browser even takes it for the page's own server, so the request must name
 * an IP address, `localhost`, or one of `hosts`. Where the browser says where the page comes from, that has to be this
 * very listener: another port of the same machine is another site here.
 * @param hosts  further names of the listener, in lower case
 * @returns why the request is refused, and what to do about it; undefined where it is not
 */
export function refuseForeign(
  { target, headers }: GuardedRequest,
  hosts: readonly string[],
): string | undefined {
  const host = headers.get("host")?.toLowerCase() ?? "";
  const name = hostName(host);
  const isKnown = name !== undefined && (isIP(name) !== 0 || name === "localhost" || hosts.includes(name));
  if (!isKnown || !target.startsWith("/")) {
    return "the Host must be an IP address, localhost, or one of profiling_hosts";
  }
  const site = headers.get("sec-fetch-site");
  if (site !== undefined && site !== "none" && site !== "same-origin")
    return "requests of other sites are refused";
  for (const header of ["origin", "referer"]) {
    const from = headers.get(header);
    if (from === undefined) continue;
    if (!URL.canParse(from) || new URL(from).host !== new URL(`http://${host}`).host) {
      return "requests of other sites are refused";
    }
  }
  return undefined;
}

/** The name or address of a `Host`, without brackets and port; undefined where it is malformed. */
function hostName(host: string): string | undefined {
  const [, address, name] = /^(?:\[([\da-f:.]+)\]|([a-z\d._-]+))(?::\d{1,5})?$/.exec(host) ?? [];
  if (address !== undefined) return isIP(address) === 6 ? address : undefined;
  return name;
}
