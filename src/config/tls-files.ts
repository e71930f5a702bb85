import { createSecureContext } from "node:tls";
import { cannotRead } from "../lib/file-errors.ts";
import { readText } from "../lib/read-text.ts";
import type { TlsFiles } from "../net/stream.ts";

/** What is wrong with which of the two files. */
export interface TlsProblem {
  key: "tls_cert_path" | "tls_key_path";
  message: string;
}

/** Reads a certificate and its key, and makes sure that they can be used together. */
export function readTlsFiles(certPath: string, keyPath: string): TlsFiles | TlsProblem[] {
  const cert = readText(certPath);
  const key = readText(keyPath);
  const problems: TlsProblem[] = [];
  if ("problem" in cert) problems.push({ key: "tls_cert_path", message: cannotRead(certPath, cert.problem) });
  if ("problem" in key) problems.push({ key: "tls_key_path", message: cannotRead(keyPath, key.problem) });
  if ("problem" in cert || "problem" in key) return problems;
  const unusable = (context: () => void): string | undefined => {
    try {
      context();
      return undefined;
    } catch (error) {
      return (error as Error).message;
    }
  };
  const badCert = unusable(() => createSecureContext({ cert: cert.text }));
  if (badCert !== undefined) {
    problems.push({ key: "tls_cert_path", message: `${certPath} is not a certificate in PEM: ${badCert}` });
  }
  const badKey = unusable(() => createSecureContext({ key: key.text }));
  if (badKey !== undefined) {
    problems.push({ key: "tls_key_path", message: `${keyPath} is not a private key in PEM: ${badKey}` });
  }
  if (problems.length > 0) return problems;
  const badPair = unusable(() => createSecureContext({ cert: cert.text, key: key.text }));
  if (badPair === undefined) return { cert: cert.text, key: key.text };
  return [
    { key: "tls_key_path", message: `${keyPath} does not belong to the certificate ${certPath}: ${badPair}` },
  ];
}
