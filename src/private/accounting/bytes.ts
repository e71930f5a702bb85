/** A number of bytes, exact. Numbers above 2^53 - 1 are bigints. */
export type Bytes = number | bigint;

export function addBytes(a: Bytes, b: Bytes): Bytes {
  if (typeof a === "number" && typeof b === "number") {
    const sum = a + b;
    if (Number.isSafeInteger(sum)) return sum;
  }
  return BigInt(a) + BigInt(b);
}

export function subtractBytes(a: Bytes, b: Bytes): Bytes {
  return addBytes(a, -b);
}

/** Returns `bytes` times a whole number. */
export function multiplyBytes(bytes: number, factor: number): Bytes {
  const product = bytes * factor;
  return Number.isSafeInteger(product) ? product : BigInt(bytes) * BigInt(factor);
}

/** Returns `bytes` by a whole number, rounded down to whole bytes. */
export function divideBytes(bytes: Bytes, divisor: number): Bytes {
  if (typeof bytes === "bigint") return bytes / BigInt(divisor);
  return (bytes - (bytes % divisor)) / divisor;
}
