import { isIP } from "node:net";
import { withoutBrackets } from "../../lib/brackets.ts";
import { quote } from "../../lib/quote.ts";

/** The ports that browsers leave out of an origin. */
const defaultPorts: Readonly<Record<string, string>> = { http: "80", https: "443" };
/** The schemes of trackers, which no page has, and the schemes that their pages have. */
const pageSchemes: Readonly<Record<string, string>> = { ws: "http", wss: "https" };

/** The parts of an origin or of an entry; what it does not have is undefined. */
interface Origin {
  readonly scheme: string | undefined;
  /** In an entry perhaps with `*.` in front. */
  readonly host: string;
  readonly port: string | undefined;
}

/** Returns the problem of an entry of `allow_origins` and `deny_origins`; undefined if it can be used. */
export function checkOrigin(entry: string): string | undefined {
  const { scheme, host, port } = parse(entry);
  const isScheme = scheme === undefined || /^[a-z][a-z0-9+.-]*$/.test(scheme);
  const isWildcard = host.startsWith("*.");
  const name = isWildcard ? host.slice(2) : host;
  const isHost = /^(?:\[[0-9a-f:.]+\]|[a-z0-9_-]+(?:\.[a-z0-9_-]+)*)$/.test(name);
  if (!isScheme || !isHost || (isWildcard && isIP(withoutBrackets(name)) !== 0))
    return `${quote(entry)} is no origin; write "https://example.com", "example.com" or "*.example.com" in lower case`;
  const pageScheme = pageSchemes[scheme ?? ""];
  if (pageScheme !== undefined)
    return `${quote(entry)} is no origin of a page; write ${quote(`${pageScheme}${entry.slice(scheme!.length)}`)}`;
  if (port !== undefined && !(/^[1-9]\d*$/.test(port) && Number(port) <= 65_535))
    return `${quote(entry)} has no valid port; write a number from 1 to 65535`;
  // Browsers write each address in one way.
  const isOfWeb = scheme === undefined || defaultPorts[scheme] !== undefined;
  const written = isOfWeb ? URL.parse(`http://${name}`)?.hostname : name;
  if (written === undefined) return `${quote(entry)} is no origin: browsers refuse the host ${quote(name)}`;
  return written === name
    ? undefined
    : `${quote(entry)} stands for no page; browsers write the host as ${quote(written)}`;
}

/**
 * The origins that an operator allows or denies. An entry is an origin (`https://example.com`, where a missing port is that of the
 * scheme), a host without a scheme, which stands for every scheme and port unless the entry names a port, or either with `*.` in
 * front of the host, which stands for all its subdomains.
 */
export class Origins {
  readonly #entries: readonly Origin[];

  constructor(entries: readonly string[]) {
    this.#entries = entries.map(parse);
  }

  get isEmpty(): boolean {
    return this.#entries.length === 0;
  }

  /** Whether an entry stands for the value of a client's `Origin`. */
  has(value: string): boolean {
    const origin = parse(value.toLowerCase());
    const host = origin.host.replace(/\.$/, ""); // `example.com.` is the same host, with the dot of the root
    return this.#entries.some((entry) => {
      if (entry.scheme !== undefined && entry.scheme !== origin.scheme) return false;
      const isAnyPort = entry.scheme === undefined && entry.port === undefined;
      if (!isAnyPort && portOf(entry) !== portOf(origin)) return false;
      return entry.host.startsWith("*.") ? host.endsWith(entry.host.slice(1)) : host === entry.host;
    });
  }
}

function portOf({ scheme = "", port }: Origin): string | undefined {
  return port ?? defaultPorts[scheme];
}

function parse(origin: string): Origin {
  const mark = origin.indexOf("://");
  const rest = mark < 0 ? origin : origin.slice(mark + 3);
  const colon = rest.lastIndexOf(":");
  const hasPort = colon >= 0 && /^\d+$/.test(rest.slice(colon + 1));
  return {
    scheme: mark < 0 ? undefined : origin.slice(0, mark),
    host: hasPort ? rest.slice(0, colon) : rest,
    port: hasPort ? rest.slice(colon + 1) : undefined,
  };
}
