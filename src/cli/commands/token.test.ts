import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { createLocalJWKSet, jwtVerify } from "jose";

const directory = mkdtempSync(join(tmpdir(), "chihaya-"));
const path = (name: string) => join(directory, name);
const infoHash = "0123456789abcdef0123456789abcdef01234567";

function token(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, ["src/cli/main.ts", "token", ...args], {
    encoding: "utf8",
  });
  return { status, stdout, stderr };
}

test("token plays the issuer, from key to torrent", async (t) => {
  t.after(() => rmSync(directory, { recursive: true }));
  const key = path("key.json");
  assert.deepEqual(token("key", key, "--algorithm", "EdDSA", "--kid", "1"), {
    status: 0,
    stdout: `${key}: key 1 for EdDSA\n`,
    stderr: "",
  });
  assert.equal(statSync(key).mode & 0o777, 0o600);
  const again = token("key", key);
  assert.deepEqual([again.status, again.stdout], [1, ""], "a key is not overwritten");
  assert.equal(again.stderr, `chihaya token: ${key}: the file exists; remove it, or choose another name\n`);

  assert.equal(token("key", path("rsa.json")).status, 0);
  assert.equal(token("jwks", key, path("rsa.json"), "--out", path("jwks.json")).status, 0);
  const keySet = JSON.parse(readFileSync(path("jwks.json"), "utf8"));
  assert.deepEqual(
    keySet.keys.map(({ alg }: { alg: string }) => alg),
    ["EdDSA", "RS256"],
  );
  for (const jwk of keySet.keys) assert.ok(!("d" in jwk) && !("p" in jwk), "public parts alone");
  const verify = async (jwt: string, audience: string) =>
    (await jwtVerify(jwt, createLocalJWKSet(keySet), { issuer: "registry", audience })).payload;

  const url = "https://tracker/announce";
  const flags = ["--key", key, "--issuer", "registry"];
  const plain = token("sign", url, infoHash, ...flags);
  assert.deepEqual([plain.status, plain.stderr], [0, ""]);
  assert.ok(plain.stdout.startsWith(`${url}?jwt=`));
  const payload = await verify(plain.stdout.trim().slice(url.length + 5), url);
  assert.deepEqual(payload, { infohash: infoHash, iss: "registry", aud: url });

  const rsaFlags = ["--key", path("rsa.json"), "--issuer", "registry", "--expires", "1h", "--audience", "x"];
  const inPath = token("sign", "https://tracker/:jwt/announce?a=b", infoHash, ...rsaFlags);
  const [, signed] = /^https:\/\/tracker\/([^/]+)\/announce\?a=b\n$/.exec(inPath.stdout)!;
  assert.ok((await verify(signed!, "x")).exp! > 1.7e9);
  const long = token("sign", "udp://tracker:1/announce?a=b", infoHash, ...rsaFlags);
  assert.match(long.stdout, /^udp:\/\/tracker:1\/announce\?a=b&jwt=/);
  assert.match(long.stderr, /but libtorrent sends only 255/);

  const info = "d6:lengthi3e4:name1:x12:piece lengthi16384e6:pieces20:aaaaaaaaaaaaaaaaaaaae";
  writeFileSync(path("plain.torrent"), `d8:announce1:a4:info${info}e`);
  const made = token("sign", url, path("plain.torrent"), "--out", path("signed.torrent"), ...flags);
  const announce = made.stdout.trim();
  const expected = `d8:announce${announce.length}:${announce}4:info${info}e`;
  assert.equal(readFileSync(path("signed.torrent"), "utf8"), expected);
  const { infohash } = await verify(announce.slice(url.length + 5), url);
  assert.equal(infohash, createHash("sha1").update(info).digest("hex"));

  for (const [args, status, message] of [
    [[], 2, 'needs "key", "jwks" or "sign"'],
    [["toString"], 2, 'needs "key", "jwks" or "sign"'],
    [["key"], 2, "key: needs one FILE"],
    [["key", path("x"), "--algorithm", "HS256"], 2, "--algorithm: not one of"],
    [["jwks", path("none.json")], 1, `cannot read ${path("none.json")}: no such file\n`],
    [["key", path("none/x")], 1, `cannot write ${path("none/x")}: no such directory\n`],
    [["sign", url, "zz", ...flags], 2, "zz: neither an infohash (40 hexadecimal digits) nor a file\n"],
    [["jwks", path("signed.torrent")], 1, "not a private key"],
    [["jwks", path("jwks.json")], 1, "not a private key"],
    [["sign", url, infoHash], 2, "needs --key and --issuer"],
    [["sign", "tracker", infoHash, ...flags], 2, "not a URL"],
    [["sign", url, key, ...flags], 1, "not a torrent"],
    [["sign", url, infoHash, "--out", path("x"), ...flags], 2, "--out: needs a TORRENT"],
    [["sign", url, infoHash, "--expires", "1", ...flags], 2, "not a duration"],
  ] as const) {
    const wrong = token(...args);
    assert.deepEqual([wrong.status, wrong.stdout], [status, ""], args.join(" "));
    assert.ok(wrong.stderr.includes(message), wrong.stderr);
  }
});
