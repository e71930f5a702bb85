import { createSecureContext } from "node:tls";
import { cannotRead } from "../../lib/file-errors.ts";
import { readText } from "../../lib/read-text.ts";
import { type Marks, text, Value } from "../../options/index.ts";

/** What every certificate in PEM begins with. */
const beginning = "-----BEGIN CERTIFICATE-----";

/** Reads certificates of authorities. @returns them in PEM, or what is wrong with the file */
function readAuthorities(path: string): { text: string } | { problem: string } {
  const read = readText(path);
  if ("problem" in read) return { problem: cannotRead(path, read.problem) };
  try {
    createSecureContext({ ca: read.text });
    if (read.text.includes(beginning)) return read;
    return { problem: `${path} holds no certificate in PEM` };
  } catch (error) {
    return { problem: `${path} does not hold certificates in PEM: ${(error as Error).message}` };
  }
}

/** Describes certificates of authorities: the path of a file in YAML, text in PEM in a program; "" is none. */
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
