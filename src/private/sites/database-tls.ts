import { isIP } from "node:net";
import { withoutBrackets } from "../../lib/brackets.ts";

/** How the connection to the server of a database is encrypted. */
export interface DatabaseTls {
  /** Whether the certificate must be of an authority that the tracker knows. */
  isVerified: boolean;
  /** Whether the certificate must be for the host of the URL. */
  isForHost: boolean;
  /** A file with the certificates of authorities, in PEM; without one, those of Node.js. */
  caFile: string | undefined;
}

/** Spellings of libpq and of the clients of MySQL. */
const modeKeys = ["sslmode", "ssl-mode", "ssl"] as const;
const caKeys = ["sslrootcert", "ssl-ca"] as const;
/** The names of the parameters. */
export const tlsKeys: readonly string[] = [...modeKeys, ...caKeys];
const modes: Readonly<Record<string, "off" | "encrypted" | "verified" | "full">> = {
  ...{ disable: "off", disabled: "off", false: "off", 0: "off" },
  ...{ require: "encrypted", required: "encrypted", "verify-ca": "verified" },
  ...{ "verify-full": "full", "verify-identity": "full", true: "full", 1: "full", "": "full" },
};

/**
 * Parses `sslmode` and `sslrootcert` of the URL of a database.
 * @returns undefined for a connection without TLS; the error of invalid parameters
 */
export function parseTls(url: URL): DatabaseTls | undefined | string {
  const given = modeKeys.filter((key) => url.searchParams.has(key));
  if (given.length > 1) return `${given.join(" and ")} say the same; leave one of them`;
  const caFile = caKeys.map((key) => url.searchParams.get(key)).find((file) => file !== null);
  const text = given.length === 0 ? undefined : url.searchParams.get(given[0]!)!;
  const normal = text?.toLowerCase().replaceAll("_", "-");
  if (normal !== undefined && !Object.hasOwn(modes, normal))
    return `${given[0]}=${text}: expected disable, require, verify-ca or verify-full`;
  const mode = normal === undefined ? (caFile === undefined ? "off" : "full") : modes[normal]!;
  if (mode === "off")
    return caFile === undefined ? undefined : "a file of authorities needs sslmode=verify-ca or verify-full";
  if (caFile === "") return "sslrootcert: expected the path of a file";
  // As libpq does: who names authorities wants them checked.
  const isVerified = mode !== "encrypted" || caFile !== undefined;
  return { isVerified, isForHost: mode === "full", caFile };
}

/** Removes the parameters of {@link parseTls}, which drivers would send to the server. */
export function withoutTls(url: URL): URL {
  const rest = new URL(url);
  for (const key of tlsKeys) rest.searchParams.delete(key);
  return rest;
}

/** Whether the host of a URL is an address. */
export function isAddress({ hostname }: URL): boolean {
  return isIP(withoutBrackets(hostname)) !== 0;
}
