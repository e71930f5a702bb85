import { readFileSync } from "node:fs";
import { checkServerIdentity, type PeerCertificate } from "node:tls";
import { cannotRead, explainSystemError } from "../../lib/file-errors.ts";
import type { DatabaseTls } from "./database-tls.ts";

/** Options of `tls.connect`. */
export interface TlsChecks {
  rejectUnauthorized: boolean;
  ca?: Buffer;
  checkServerIdentity(host: string, certificate: PeerCertificate): Error | undefined;
}

/** Returns the options of `tls.connect` to a host. @throws Error that names a file which cannot be read */
export function tlsChecks({ isVerified, isForHost, caFile }: DatabaseTls, host: string): TlsChecks {
  return {
    rejectUnauthorized: isVerified,
    ...(caFile !== undefined && { ca: readAuthorities(caFile) }),
    // Without a name, node:tls would compare the certificate with "localhost".
    checkServerIdentity: (_, certificate) => (isForHost ? checkServerIdentity(host, certificate) : undefined),
  };
}

function readAuthorities(file: string): Buffer {
  let bytes: Buffer;
  try {
    bytes = readFileSync(file);
  } catch (error) {
    throw new Error(cannotRead(file, explainSystemError(error)), { cause: error });
  }
  if (bytes.includes("-----BEGIN CERTIFICATE-----")) return bytes;
  throw new Error(`${file}: has no certificate in PEM`);
}
