import { createPrivateKey, X509Certificate } from "node:crypto";
import type { SecureContextOptions } from "node:tls";
import { cannotRead } from "../lib/file-errors.ts";
import { readText } from "../lib/read-text.ts";
import type { TlsFiles } from "../net/stream.ts";

/** Loads `node:tls` only when it is needed: it takes 3 MiB, and a tracker without TLS describes its options too. */
const secureContext = (options: SecureContextOptions): unknown =>
  process.getBuiltinModule("node:tls").createSecureContext(options);

/** A problem of one of the two files. */
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
  // OpenSSL takes an empty file for none, and a certificate and a key of two kinds for halves of two pairs.
  const badCert = unusable(() => {
    secureContext({ cert: cert.text });
    new X509Certificate(cert.text);
  });
  if (badCert !== undefined) {
    problems.push({ key: "tls_cert_path", message: `${certPath} is not a certificate in PEM: ${badCert}` });
  }
  const badKey = unusable(() => {
    secureContext({ key: key.text });
    createPrivateKey(key.text);
  });
  if (badKey !== undefined) {
    problems.push({ key: "tls_key_path", message: `${keyPath} is not a private key in PEM: ${badKey}` });
  }
  if (problems.length > 0) return problems;
  const badPair = unusable(() => {
    secureContext({ cert: cert.text, key: key.text });
    if (!new X509Certificate(cert.text).checkPrivateKey(createPrivateKey(key.text)))
      throw new Error("the key is another one");
  });
  if (badPair === undefined) return { cert: cert.text, key: key.text };
  return [
    { key: "tls_key_path", message: `${keyPath} does not belong to the certificate ${certPath}: ${badPair}` },
  ];
}

/** Where problems of the two files are reported, by their keys. */
interface TlsReport {
  /** Milliseconds since 1970. */
  readonly now: number;
  error(path: readonly [TlsProblem["key"]], message: string): void;
  warning(path: readonly [TlsProblem["key"]], message: string): void;
}

/** Reads a certificate and its key, and reports their problems. @returns undefined if they cannot be used */
export function checkTlsFiles(certPath: string, keyPath: string, report: TlsReport): TlsFiles | undefined {
  const files = readTlsFiles(certPath, keyPath);
  if (Array.isArray(files)) {
    for (const { key, message } of files) report.error([key], message);
    return undefined;
  }
  const validity = validityProblem(files.cert.toString(), report.now);
  if (validity !== undefined) report.warning(["tls_cert_path"], `${certPath}${validity}`);
  return files;
}

const dayMs = 86_400_000;
/** A certificate that ends this soon should have been renewed by now: the usual tools do it 30 days before. */
const soonMs = 14 * dayMs;

/**
 * Says whether clients refuse one of the certificates of a chain, or will soon.
 * @param now  milliseconds since 1970
 * @returns undefined where all is well
 */
export function validityProblem(chain: string, now: number): string | undefined {
  const certificates = splitChain(chain);
  const problems = certificates.map(({ validFrom, validTo }, index) => {
    const [from, to] = [Date.parse(validFrom), Date.parse(validTo)];
    const name = certificates.length === 1 ? "the certificate" : `certificate ${index + 1}`;
    if (now >= to) return `${name} expired on ${day(to)}, and clients refuse it; renew it`;
    if (now < from) return `${name} is valid only from ${day(from)} on; is the clock right?`;
    if (now >= to - soonMs)
      return `${name} expires on ${day(to)}, in ${Math.floor((to - now) / dayMs)} days; renew it`;
    return undefined;
  });
  const problem = problems.find((one) => one !== undefined);
  return problem && `: ${problem}`;
}

/** Returns when the first certificate of a chain expires, in seconds since 1970. */
export function chainExpiry({ cert }: TlsFiles): number {
  return Math.min(...splitChain(cert.toString()).map(({ validTo }) => Date.parse(validTo))) / 1000;
}

function splitChain(chain: string): X509Certificate[] {
  const certificates =
    chain.match(/-----BEGIN (TRUSTED )?CERTIFICATE-----.*?-----END \1CERTIFICATE-----/gs) ?? [];
  return certificates.map((pem) => new X509Certificate(pem));
}

function day(time: number): string {
  return new Date(time).toISOString().slice(0, 10);
}
