/** Parameters of a call by their names. */
export type Params = ReadonlyMap<string, Buffer>;

/** Parses a query as the site writes it: percent-encoded once or not at all, `+` for itself; the last value of a name counts. */
export function parseQuery(query: string): Params {
  const params = new Map<string, Buffer>();
  for (const part of query.split("&")) {
    const at = part.indexOf("=");
    if (at > 0) params.set(part.slice(0, at), decodePercent(part.slice(at + 1)));
  }
  return params;
}

function decodePercent(value: string): Buffer {
  const plain = value.replace(/%([\da-f]{2})/gi, (_, digits) =>
    String.fromCharCode(Number.parseInt(digits, 16)),
  );
  return Buffer.from(plain, "latin1");
}

/** Returns a parameter as Latin-1; "" if it is missing. */
export function textOf(params: Params, name: string): string {
  return params.get(name)?.toString("latin1") ?? "";
}
