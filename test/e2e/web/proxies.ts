/** The proxies of docs/webtorrent.md, with the configurations that the document has. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { parse } from "yaml";
import { certificates } from "../../fixtures/certificates.ts";
import { Daemon, type DaemonSettings, temporaryDirectory } from "../../support/daemon.ts";
import { findFreePort, isListening } from "../ports.ts";
import { startProcess, withoutProgram } from "../process.ts";
import { waitUntil } from "../wait-until.ts";

export type ProxyName = "nginx" | "haproxy" | "caddy";

/** Why tests with a proxy are skipped; false to run them. */
export const withoutProxy: Readonly<Record<ProxyName, string | false>> = {
  nginx: await withoutProgram("nginx", ["-v"], "apt install nginx"),
  haproxy: await withoutProgram("haproxy", ["-v"], "apt install haproxy"),
  caddy: await withoutProgram("caddy", ["version"], "apt install caddy"),
};

const text = readFileSync(join(import.meta.dirname, "../../../docs/webtorrent.md"), "utf8");
export type Scheme = "ws" | "wss";

/** The languages of the blocks in the document, and the proxies whose YAML follows. */
const languages: Readonly<Record<ProxyName, { language: string; yamlOf: ProxyName }>> = {
  nginx: { language: "nginx", yamlOf: "nginx" },
  haproxy: { language: "haproxy", yamlOf: "haproxy" },
  caddy: { language: "caddyfile", yamlOf: "nginx" },
};

/** Returns the first block of a language in a text. */
function blockOf(language: string, from: string): string {
  const block = new RegExp(`^\`\`\`${language}\n([^]*?)^\`\`\`$`, "m").exec(from)?.[1];
  assert.ok(block !== undefined, `the document has a block of ${language}`);
  return block;
}

/** Replaces texts, each of which must occur. */
function replaceAll(text: string, replacements: readonly (readonly [string, string])[]): string {
  for (const [from, to] of replacements) {
    assert.ok(text.includes(from), `the recipe has ${from}`);
    text = text.replaceAll(from, to);
  }
  return text;
}

/** Returns the settings of the tracker that the document has for a proxy, on ports that the system chooses. */
function settingsFor(proxy: ProxyName): DaemonSettings {
  const after = text.slice(text.indexOf(`\`\`\`${languages[languages[proxy].yamlOf].language}\n`));
  const { chihaya } = parse(blockOf("yaml", after)) as { chihaya: DaemonSettings };
  return { ...chihaya, http: { ...chihaya.http, addr: "127.0.0.1:0" } };
}

/** Starts a tracker behind a proxy, as the document says. @returns the URL of the proxy: `wss://127.0.0.1:12345` */
export async function startBehind(
  t: TestContext,
  name: ProxyName,
  scheme: Scheme,
  more: DaemonSettings = {},
): Promise<string> {
  const settings = settingsFor(name);
  const daemon = await Daemon.start(t, { ...settings, ...more, http: { ...settings.http, ...more.http } });
  const directory = temporaryDirectory(t);
  const port = await findFreePort();
  const backend = `127.0.0.1:${daemon.port("http")}`;
  const [cert, key, both] = ["tracker.crt", "tracker.key", "tracker.pem"].map((file) =>
    join(directory, file),
  );
  writeFileSync(cert!, certificates[0].cert);
  writeFileSync(key!, certificates[0].key);
  writeFileSync(both!, `${certificates[0].cert}${certificates[0].key}`);
  const file = join(directory, "proxy.conf");
  const recipe = replaceAll(blockOf(languages[name].language, text), [["127.0.0.1:6969", backend]]);
  let args: string[];
  if (name === "nginx") {
    const server = replaceAll(recipe, [
      ["listen 443 ssl;", `listen 127.0.0.1:${port}${scheme === "wss" ? " ssl" : ""};`],
      ["/etc/nginx/tracker.crt", cert!],
      ["/etc/nginx/tracker.key", key!],
    ]);
    const places = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(
      (place) => `${place}_temp_path ${join(directory, place)};`,
    );
    writeFileSync(
      file,
      `daemon off;\npid ${join(directory, "pid")};\nerror_log stderr;\nevents {}\nhttp {\naccess_log off;\n${places.join("\n")}\n${server}}\n`,
    );
    args = ["-c", file, "-p", directory, "-e", "stderr"];
  } else if (name === "haproxy") {
    assert.equal(scheme, "wss", "the recipe has TLS");
    writeFileSync(
      file,
      replaceAll(recipe, [
        ["bind :443", `bind 127.0.0.1:${port}`],
        ["/etc/haproxy/tracker.pem", both!],
      ]),
    );
    args = ["-db", "-f", file];
  } else {
    assert.equal(scheme, "wss", "the recipe has TLS");
    const options = [
      "admin off",
      "skip_install_trust",
      "default_bind 127.0.0.1",
      "auto_https disable_redirects",
      `storage file_system ${directory}`,
    ];
    // Caddy makes a certificate of its own for the name.
    const site = replaceAll(recipe, [["tracker.example.com {", `localhost:${port} {`]]);
    writeFileSync(file, `{\n${options.join("\n")}\n}\n${site}`);
    args = ["run", "--adapter", "caddyfile", "--config", file];
  }
  const proxy = startProcess(name, name, args, { env: { HOME: directory } });
  t.after(() => proxy.stop());
  await waitUntil(`${name} listens`, async () => {
    if (proxy.ended !== undefined) throw new Error(`${name} has ended: ${proxy.output()}`);
    return isListening(port);
  });
  return `${scheme}://${name === "caddy" ? "localhost" : "127.0.0.1"}:${port}`;
}
