import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { promisify } from "node:util";

/**
 * Whether a client accepts gzip (RFC 9110 §12.5.3).
 * @param accepted  the value of `Accept-Encoding`
 */
export function acceptsGzip(accepted: string | undefined): boolean {
  let any = false;
  for (const entry of accepted?.toLowerCase().split(",") ?? []) {
    const [coding, ...parameters] = entry.split(";").map((part) => part.trim());
    const isWanted = !parameters.some((parameter) => /^q\s*=\s*0(?:\.0*)?$/.test(parameter));
    if (coding === "gzip" || coding === "x-gzip") return isWanted;
    if (coding === "*") any = isWanted;
  }
  return any;
}

/** Compresses bytes. */
export async function gzipBytes(bytes: Uint8Array): Promise<Uint8Array> {
  const { gzip } = await import("node:zlib");
  return promisify(gzip)(bytes);
}

/** Compresses a stream, no faster than the result is read. If the stream fails, the result fails with the same error. */
export async function* gzipStream(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, void> {
  const { createGzip } = await import("node:zlib");
  const compressed = createGzip();
  const done = pipeline(Readable.from(source, { objectMode: false }), compressed);
  done.catch(() => undefined); // reading fails with the same error
  yield* compressed;
}
