import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { exportJWK, generateKeyPair, importJWK, type JWK, SignJWT } from "jose";
import { parseInfoHash, toHex } from "../../bittorrent/info-hash.ts";
import { cannotRead, explainSystemError } from "../../lib/file-errors.ts";
import { parseMilliseconds, runReporting, UsageError } from "../client-command.ts";
import { ExitCode } from "../command.ts";
import { writeOutput } from "../output-file.ts";
import { complain, print } from "../terminal.ts";
import { parseTorrentFile, type TorrentFile, withAnnounce } from "../torrent-file.ts";

/** The help of `chihaya token`. */
export const help: string = `Usage: chihaya token key FILE [--algorithm ALG] [--kid ID]
       chihaya token jwks FILE... [--out FILE]
       chihaya token sign URL INFOHASH|TORRENT --key FILE --issuer NAME [flags]

Acts as the issuer for the hook "jwt": makes keys and signs announce URLs.

"key" writes a new private key to FILE, as a JSON Web Key that only you can read. An existing file is not overwritten.
  --algorithm ALG     RS256, ES256 or EdDSA (default RS256)
  --kid ID            id of the key in tokens (default random)

"jwks" prints the public keys of private keys as a JSON Web Key Set, for jwk_set_file or for a server at jwk_set_url.
  --out FILE          writes the key set to FILE

"sign" prints the announce URL with a token for one infohash. The token replaces the segment ":jwt" in the path of the
URL; without this segment, the token is added to the query.
  --key FILE          the private key
  --issuer NAME       the claim "iss"
  --audience NAME     the claim "aud" (default URL)
  --expires DURATION  how long the token is valid, such as 24h (default for ever)
  --parameter NAME    name of the parameter of the token (default jwt)
  --out FILE          writes the torrent to FILE, with the announce URL as its only tracker

Exit codes: 0 done, 1 a file cannot be read or written, 2 wrong usage.
`;

const algorithms = ["RS256", "ES256", "EdDSA"];
/** Maximum length of path and query that libtorrent sends over UDP. */
const maxUrlData = 255;

/**
 * Runs `chihaya token`.
 * @param args  after the command's name
 * @returns the exit code: 0 done, 1 a file cannot be read or written, 2 wrong usage
 */
export function run(args: string[]): Promise<number> {
  return runReporting("token", async () => {
    const [action, ...rest] = args;
    const act = action !== undefined && Object.hasOwn(actions, action) ? actions[action] : undefined;
    if (act === undefined) throw new UsageError('needs "key", "jwks" or "sign"');
    try {
      await act(rest);
      return ExitCode.ok;
    } catch (error) {
      if (!(error instanceof FileError)) throw error;
      complain(`chihaya token: ${error.message}\n`);
      return ExitCode.failed;
    }
  });
}

const actions: Readonly<Record<string, (args: string[]) => Promise<void>>> = {
  key: makeKey,
  jwks: writeKeySet,
  sign,
};

/** A file that cannot be used; the message names the file and the reason. */
class FileError extends Error {}

async function makeKey(args: string[]): Promise<void> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { algorithm: { type: "string", default: "RS256" }, kid: { type: "string" } },
  });
  const { algorithm, kid = randomBytes(6).toString("base64url") } = values;
  const [file, ...more] = positionals;
  if (file === undefined || more.length > 0) throw new UsageError("key: needs one FILE");
  if (!algorithms.includes(algorithm))
    throw new UsageError(`--algorithm: not one of ${algorithms.join(", ")}`);
  const { privateKey } = await generateKeyPair(algorithm, { extractable: true });
  const jwk: JWK = { ...(await exportJWK(privateKey)), kid, alg: algorithm, use: "sig" };
  await write(file, `${JSON.stringify(jwk)}\n`, { isNew: true, mode: 0o600 });
  print(`${file}: key ${kid} for ${algorithm}\n`);
}

async function writeKeySet(args: string[]): Promise<void> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { out: { type: "string" } },
  });
  if (positionals.length === 0) throw new UsageError("jwks: needs the FILE of a key");
  const keys: JWK[] = [];
  for (const file of positionals) keys.push(publicPart(await readKey(file)));
  await output(`${JSON.stringify({ keys }, null, 2)}\n`, values.out);
}

async function sign(args: string[]): Promise<void> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      key: { type: "string" },
      issuer: { type: "string" },
      audience: { type: "string" },
      expires: { type: "string" },
      parameter: { type: "string", default: "jwt" },
      out: { type: "string" },
    },
  });
  const [url, subject, ...more] = positionals;
  if (url === undefined || subject === undefined || more.length > 0)
    throw new UsageError("sign: needs URL and INFOHASH or TORRENT");
  if (!/^(https?|udp|wss?):\/\/[^/]/.test(url))
    throw new UsageError(`${url}: not a URL with http, https, udp, ws or wss`);
  if (values.key === undefined || values.issuer === undefined)
    throw new UsageError("sign: needs --key and --issuer");
  const known = parseInfoHash(subject);
  if (known !== undefined && values.out !== undefined) throw new UsageError("--out: needs a TORRENT");
  if (known === undefined && !existsSync(subject))
    throw new UsageError(`${subject}: neither an infohash (40 hexadecimal digits) nor a file`);
  const torrent = known === undefined ? await readTorrent(subject) : undefined;
  const jwk = await readKey(values.key);
  const claims = { infohash: toHex(known ?? torrent!.infoHash) };
  const jwt = new SignJWT(claims)
    .setProtectedHeader({ alg: jwk.alg!, kid: jwk.kid! })
    .setIssuer(values.issuer)
    .setAudience(values.audience ?? url);
  if (values.expires !== undefined) {
    const seconds = Math.round(parseMilliseconds("--expires", values.expires) / 1000);
    jwt.setExpirationTime(Math.floor(Date.now() / 1000) + seconds);
  }
  const announce = withToken(url, values.parameter, await jwt.sign(await importJWK(jwk)));
  const sent = announce.replace(/^\w+:\/\/[^/?]*/, "").length;
  if (announce.startsWith("udp:") && sent > maxUrlData) {
    complain(
      `chihaya token: path and query have ${sent} bytes, but libtorrent sends only ${maxUrlData}; use EdDSA and short names\n`,
    );
  }
  if (values.out !== undefined) await write(values.out, withAnnounce(torrent!, announce));
  print(`${announce}\n`);
}

function withToken(url: string, parameter: string, token: string): string {
  const inPath = new RegExp(`/:${parameter.replace(/\W/g, "\\$&")}(?=[/?]|$)`);
  if (inPath.test(url)) return url.replace(inPath, `/${token}`);
  return `${url}${url.includes("?") ? "&" : "?"}${encodeURIComponent(parameter)}=${token}`;
}

function publicPart({ kty, crv, n, e, x, y, kid, alg, use }: JWK): JWK {
  return JSON.parse(JSON.stringify({ kty, crv, n, e, x, y, kid, alg, use }));
}

async function readKey(file: string): Promise<JWK> {
  const text = await read(file);
  try {
    const jwk = JSON.parse(text.toString()) as JWK;
    if (jwk.d !== undefined && jwk.kid !== undefined && algorithms.includes(jwk.alg ?? "")) return jwk;
  } catch {
    // The error below covers invalid JSON too.
  }
  throw new FileError(`${file}: not a private key; make one with "chihaya token key FILE"`);
}

async function readTorrent(file: string): Promise<TorrentFile> {
  const bytes = await read(file);
  try {
    return parseTorrentFile(bytes);
  } catch (error) {
    throw new FileError(`${file}: not a torrent: ${(error as Error).message}`, { cause: error });
  }
}

async function read(file: string): Promise<Buffer> {
  try {
    return await readFile(file);
  } catch (error) {
    throw new FileError(cannotRead(file, explainSystemError(error)), { cause: error });
  }
}

async function write(file: string, content: string | Buffer, options?: { mode: number; isNew: boolean }) {
  try {
    await writeOutput(file, content, options);
  } catch (error) {
    throw new FileError((error as Error).message, { cause: error });
  }
}

async function output(text: string, file: string | undefined): Promise<void> {
  if (file === undefined) print(text);
  else await write(file, text);
}
