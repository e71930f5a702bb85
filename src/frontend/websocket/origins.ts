import { quote } from "../../lib/quote.ts";

/** Returns the problem of an entry of `allow_origins` and `deny_origins`; undefined if it can be used. */
export function checkOrigin(entry: string): string | undefined {
  const { scheme, host } = split(entry);
  const isScheme = scheme === undefined || /^[a-z][a-z0-9+.-]*$/.test(scheme);
  const name = host.startsWith("*.") ? host.slice(2) : host;
  if (isScheme && /^(?:\[[0-9a-f:.]+\]|[a-z0-9_-]+(?:\.[a-z0-9_-]+)*)(?::\d{1,5})?$/.test(name))
    return undefined;
  return `${quote(entry)} is no origin; write "https://example.com", "example.com" or "*.example.com" in lower case`;
}

/**
 * The origins that an operator allows or denies. An entry is an origin (`https://example.com`), a host without a scheme, which
 * stands for every scheme and port, or either with `*.` in front of the host, which stands for all its subdomains.
 */
export class Origins {
  readonly #entries: readonly { scheme: string | undefined; host: string }[];

  constructor(entries: readonly string[]) {
    this.#entries = entries.map(split);
  }

  get isEmpty(): boolean {
    return this.#entries.length === 0;
  }

  /** Whether an entry stands for the value of a client's `Origin`. */
  has(origin: string): boolean {
    const { scheme, host: named } = split(origin.toLowerCase());
    const host = named.replace(/\.(?=:\d+$|$)/, ""); // `example.com.` is the same host, with the dot of the root
    const hostname = host.replace(/:\d+$/, "");
    return this.#entries.some((entry) => {
      if (entry.scheme !== undefined && entry.scheme !== scheme) return false;
      const compared = entry.scheme !== undefined || /:\d+$/.test(entry.host) ? host : hostname;
      return entry.host.startsWith("*.") ? compared.endsWith(entry.host.slice(1)) : compared === entry.host;
    });
  }
}

function split(origin: string): { scheme: string | undefined; host: string } {
  const mark = origin.indexOf("://");
  return mark < 0
    ? { scheme: undefined, host: origin }
    : { scheme: origin.slice(0, mark), host: origin.slice(mark + 3) };
}
