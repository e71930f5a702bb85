/** The values that {@link encodeBencode} accepts. Undefined entries of an object are left out. */
export type Encodable =
  | number
  | bigint
  | string
  | Uint8Array
  | readonly Encodable[]
  | ReadonlyMap<string, Encodable>
  | { readonly [key: string]: Encodable | undefined };

const encoder = new TextEncoder();

/**
 * Encodes a value as bencode (BEP 3), for paths that may allocate. Text and keys become UTF-8; keys are sorted by
 * bytes.
 * @throws RangeError for a number that is not a safe integer
 */
export function encodeBencode(value: Encodable): Uint8Array {
  const parts: Uint8Array[] = [];
  encode(value, parts);
  return concat(parts);
}

function encode(value: Encodable, parts: Uint8Array[]): void {
  if (typeof value === "number" || typeof value === "bigint") {
    if (typeof value === "number" && !Number.isSafeInteger(value)) {
      throw new RangeError(`not a safe integer: ${value}`);
    }
    parts.push(encoder.encode(`i${BigInt(value)}e`));
  } else if (typeof value === "string") {
    encodeBytes(encoder.encode(value), parts);
  } else if (value instanceof Uint8Array) {
    encodeBytes(value, parts);
  } else if (Array.isArray(value)) {
    parts.push(encoder.encode("l"));
    for (const item of value as readonly Encodable[]) encode(item, parts);
    parts.push(encoder.encode("e"));
  } else {
    const entries = value instanceof Map ? [...value] : Object.entries(value);
    const encoded = entries.map(([key, item]) => ({
      key: encoder.encode(key),
      item: item as Encodable | undefined,
    }));
    encoded.sort((a, b) => compareBytes(a.key, b.key));
    parts.push(encoder.encode("d"));
    for (const { key, item } of encoded) {
      if (item === undefined) continue;
      encodeBytes(key, parts);
      encode(item, parts);
    }
    parts.push(encoder.encode("e"));
  }
}

function encodeBytes(bytes: Uint8Array, parts: Uint8Array[]): void {
  parts.push(encoder.encode(`${bytes.length}:`), bytes);
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < a.length && i < b.length; i++) if (a[i] !== b[i]) return a[i]! - b[i]!;
  return a.length - b.length;
}
