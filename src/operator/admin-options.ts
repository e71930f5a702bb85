import { statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { checkTlsFiles } from "../http/tls-files.ts";
import { Address } from "../ip/address.ts";
import type { ListenAddress } from "../ip/listen-address.ts";
import { checkSocketPath, runtimeSocket } from "../net/socket-path.ts";
import type { TlsFiles } from "../net/stream.ts";
import {
  addresses,
  type Block,
  blocks,
  boolean,
  type CheckReport,
  checkNotEmpty,
  choices,
  list,
  options,
  text,
} from "../options/index.ts";
import { isLoopback } from "./guard.ts";
import { type AdminToken, scopes } from "./scopes.ts";

/** The options of the admin API and the dashboard. */
export interface AdminOptions {
  /** Addresses of API and dashboard; empty means `metrics_addr`. */
  readonly addr: readonly ListenAddress[];
  readonly tlsCertPath: string;
  readonly tlsKeyPath: string;
  /** Whether a proxy in front of the listener speaks TLS to the clients. */
  readonly behindProxy: boolean;
  /** Names and addresses of the listener besides the bound address and `localhost`, in lower case. */
  readonly hosts: readonly string[];
  readonly tokens: readonly AdminToken[];
  /** Path of the unix socket; `auto` for the one in `RUNTIME_DIRECTORY`; empty for none. */
  readonly socket: string;
  /** The file that keeps what the API has changed; empty for none. */
  readonly state: string;
  /** The content of the files, which the check of the configuration reads. */
  tls?: TlsFiles | undefined;
}

function checkHost(name: string): string | undefined {
  return /^[a-z\d._:-]+$/i.test(name)
    ? undefined
    : "expected a name or an address without scheme and port: tracker.internal";
}

/** What `sha256sum` prints if the variable with the token is not set. */
const hashOfNothing = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

function checkHash(hash: string): string | undefined {
  const remedy = 'make a token with "chihaya admin token"';
  if (hash === hashOfNothing) return `is the hash of an empty token; ${remedy}`;
  return /^sha256:[\da-f]{64}$/.test(hash)
    ? undefined
    : `expected "sha256:" and 64 hexadecimal digits; ${remedy}`;
}

const token: Block<AdminToken, unknown> = options({
  name: text({ check: checkNotEmpty }).describe("Who has the token, for the audit log."),
  hash: text({ check: checkHash }).describe("The SHA-256 hash of the token, from `chihaya admin token`."),
  scopes: choices(scopes)
    .default(["read"])
    .describe(
      "What the token opens: `read`, `peers:read` (also whole addresses of peers), `write` (also changes), or `admin` (everything).",
    ),
});

/** Describes the block `admin`. */
export const adminOptions: Block<AdminOptions, unknown> = options({
  addr: addresses({ restart: true })
    .default("")
    .describe('Where the admin API is served; "" for `metrics_addr`.'),
  tls_cert_path: text({ restart: true }).default("").describe("Certificate chain for `addr`, as PEM."),
  tls_key_path: text({ restart: true }).default("").describe("Key of the certificate, as PEM."),
  behind_proxy: boolean()
    .default("false")
    .describe("Whether clients reach the listener through a proxy that speaks TLS."),
  hosts: list({ check: checkHost })
    .map((names) => names.map((name) => name.toLowerCase()))
    .default([])
    .describe(
      "Names under which browsers and tools may reach the API and profiles, besides `localhost` and the address of " +
        "the listener: `tracker.internal`. Requests for other names are refused, so that no web page can use an operator's browser.",
    ),
  socket: text({ restart: true, check: checkSocketPath })
    .default("auto")
    .describe(
      "Path of a unix socket with the whole API, for the user of the tracker and root. `chihaya reload` uses the socket. `auto` " +
        'is `chihaya.sock` in the directory that systemd names in `RUNTIME_DIRECTORY`, if there is one; "" is none.',
    ),
  tokens: blocks(token, { maximum: 1000, name: "token" })
    .default([] as never)
    .describe(
      "Who may use the API. Without a token, programs on this machine may read; changes always need a token.",
    ),
  state: text({ restart: true })
    .default("")
    .describe(
      'The file that keeps what the API has changed, such as bans and entries of lists; "" forgets the changes at the end of the process. ' +
        "The tracker creates the file, and must be able to write to its directory.",
    ),
});

/** Options without the block `admin`: API and dashboard are on the unix socket alone. */
export const socketOnly: AdminOptions = {
  addr: [],
  tlsCertPath: "",
  tlsKeyPath: "",
  behindProxy: false,
  hosts: [],
  tokens: [],
  state: "",
  socket: "auto",
};

/** Returns the path of the unix socket; undefined if there is none. @param env  as in `process.env` */
export function socketPathOf(
  { socket }: Pick<AdminOptions, "socket">,
  env: Readonly<Record<string, string | undefined>>,
): string | undefined {
  return socket === "auto" ? runtimeSocket(env) : socket || undefined;
}

/** Returns whether a listener may serve API and dashboard. */
export function mayServeAdmin(
  { host }: ListenAddress,
  { tokens, behindProxy, tlsCertPath }: AdminOptions,
  isOwn: boolean,
): boolean {
  const isPrivate = isLoopback(Address.parse(host).toString());
  return isPrivate || (tokens.length > 0 && (behindProxy || (isOwn && tlsCertPath !== "")));
}

/** Checks the block against itself and `metrics_addr`. @param report  begins at `admin` */
export function checkAdmin(
  admin: AdminOptions,
  metricsListen: readonly ListenAddress[],
  report: CheckReport,
): void {
  if (!report.isReadable([])) return;
  const { addr, tlsCertPath, tlsKeyPath, tokens } = admin;
  if ((tlsCertPath === "") !== (tlsKeyPath === "")) {
    const [missing, given] =
      tlsCertPath === "" ? ["tls_cert_path", "tls_key_path"] : ["tls_key_path", "tls_cert_path"];
    report.error([given], `needs ${missing} too`);
  }
  if (tlsCertPath !== "" && addr.length === 0)
    report.error(["tls_cert_path"], "needs addr: metrics_addr has no TLS");
  if (tlsCertPath !== "" && tlsKeyPath !== "") {
    const files = checkTlsFiles(tlsCertPath, tlsKeyPath, report);
    if (files !== undefined) admin.tls = files;
  }
  checkStatePath(admin, report);
  for (const [index, { name, hash }] of tokens.entries()) {
    const before = tokens.slice(0, index);
    if (before.some((other) => other.name === name))
      report.error(["tokens", index, "name"], `another token is named ${JSON.stringify(name)}`);
    const same = before.find((other) => other.hash === hash);
    if (same !== undefined)
      report.error(
        ["tokens", index, "hash"],
        `is the hash of the token ${JSON.stringify(same.name)} too; make another token with "chihaya admin token"`,
      );
  }
  for (const address of addr) {
    if (mayServeAdmin(address, admin, true)) continue;
    const lacks = tokens.length === 0 ? "a token and TLS" : "TLS";
    report.error(
      ["addr"],
      `${address.host} is not of this machine alone and lacks ${lacks}; give tokens, and tls_cert_path or behind_proxy: true, or listen on 127.0.0.1`,
    );
  }
  if (addr.length > 0) return;
  // Without a configuration file the block is there and says nothing.
  if (metricsListen.length === 0 && tokens.length > 0)
    report.warning(["tokens"], "have no effect without addr or metrics_addr");
  const closed = metricsListen.find((address) => !mayServeAdmin(address, admin, false));
  if (closed !== undefined) {
    report.warning(
      [],
      `off on metrics_addr ${closed.host}, which is not of this machine alone; give tokens and behind_proxy: true, or an addr of its own`,
    );
  }
}

/** Checks what can be checked without reading the file, which may be large. */
function checkStatePath({ state: path, socket }: AdminOptions, report: CheckReport): void {
  if (path === "") return;
  if (socket !== "" && socket !== "auto" && resolve(socket) === resolve(path)) {
    report.error(
      ["state"],
      `${resolve(path)} is the unix socket (admin.socket); give the state a file of its own`,
    );
    return;
  }
  const folder = dirname(resolve(path));
  const kind = (at: string) => statSync(at, { throwIfNoEntry: false });
  try {
    if (kind(folder)?.isDirectory() !== true) report.warning(["state"], `there is no directory ${folder}`);
    else if (kind(path)?.isFile() === false) report.error(["state"], `${resolve(path)} is not a file`);
  } catch (error) {
    report.error(["state"], `cannot use ${resolve(path)}: ${(error as Error).message}`);
  }
}
