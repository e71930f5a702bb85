import type { SecureContextOptions } from "node:tls";
import { cannotRead } from "../../lib/file-errors.ts";
import { readText } from "../../lib/read-text.ts";
import { type Marks, text, Value } from "../../options/index.ts";

/** Loads `node:tls` only when it is needed: it takes 3 MiB, and a tracker without TLS describes its options too. */
const secureContext = (options: SecureContextOptions): unknown =>
  process.getBuiltinModule("node:tls").createSecureContext(options);

/** The first line of every certificate in PEM. */
const beginning = "-----BEGIN CERTIFICATE-----";

/** Reads certificates of authorities. @returns the certificates in PEM, or the problem of the file */
function readAuthorities(path: string): { text: string } | { problem: string } {
  const read = readText(path);
  if ("problem" in read) return { problem: cannotRead(path, read.problem) };
  try {
    secureContext({ ca: read.text });
    if (read.text.includes(beginning)) return read;
    return { problem: `${path} holds no certificate in PEM` };
  } catch (error) {
    return { problem: `${path} does not hold certificates in PEM: ${(error as Error).message}` };
  }
}

/** Describes the certificates of authorities: the path of a file in YAML, PEM text in a program; "" for none. */
export function authorities(marks: Marks): Value<string | undefined> {
  const path = text(marks);
  return new Value<string | undefined>(path.facts, (input, at, reader) => {
    const given = path.read(input, at, reader);
    if (given === undefined || given === "" || given.includes(beginning)) return given || undefined;
    const read = readAuthorities(given);
    if ("text" in read) return read.text;
    reader.refuse(at, read.problem);
    return undefined;
  });
}
