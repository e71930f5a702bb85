import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { promisify } from "node:util";

/** How a response is compressed. */
export type Coding = "gzip" | "zstd";

/** Whether a client accepts gzip (RFC 9110 §12.5.3). @param accepted  the value of `Accept-Encoding` */
export function acceptsGzip(accepted: string | undefined): boolean {
  return accepts(accepted, ["gzip", "x-gzip", "*"]);
}

/** Whether a client accepts zstd (RFC 8878 §7.2) by name. @param accepted  the value of `Accept-Encoding` */
export function acceptsZstd(accepted: string | undefined): boolean {
  return accepts(accepted, ["zstd"]);
}

/** Whether a client accepts a coding by one of its names; `*` counts if no other name is there. */
function accepts(accepted: string | undefined, names: readonly string[]): boolean {
  let any = false;
  for (const entry of accepted?.toLowerCase().split(",") ?? []) {
    const [coding, ...parameters] = entry.split(";").map((part) => part.trim());
    const isWanted = !parameters.some((parameter) => /^q\s*=\s*0(?:\.0*)?$/.test(parameter));
    if (!names.includes(coding!)) continue;
    if (coding !== "*") return isWanted;
    any = isWanted;
  }
  return any;
}

/** Compresses bytes. */
export async function gzipBytes(bytes: Uint8Array): Promise<Uint8Array> {
  const { gzip } = await import("node:zlib");
  return promisify(gzip)(bytes);
}

/** Whether this version of Node.js has zstd. */
export async function hasZstd(): Promise<boolean> {
  return "createZstdCompress" in (await import("node:zlib"));
}

/** Compresses a stream, no faster than the result is read. If the stream fails, the result fails with the same error. */
export async function* compressStream(
  source: AsyncIterable<Uint8Array>,
  coding: Coding,
): AsyncGenerator<Uint8Array, void, void> {
  const zlib = await import("node:zlib");
  const compressed =
    coding === "gzip" ? zlib.createGzip() : zlib.createZstdCompress({ params: smallZstd(zlib) });
  const done = pipeline(Readable.from(source, { objectMode: false }), compressed);
  done.catch(() => undefined); // reading fails with the same error
  yield* compressed;
}

/** A window of 128 KiB: a stream to a slow client holds little memory. */
function smallZstd({ constants }: typeof import("node:zlib")): Record<number, number> {
  return { [constants.ZSTD_c_compressionLevel]: 3, [constants.ZSTD_c_windowLog]: 17 };
}
