/** Encrypted connections to the database of a private tracker. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { TlsFiles } from "../../src/net/stream.ts";
import { checkDatabase } from "../../src/private/options.ts";
import { openDatabase } from "../../src/private/sites/sql/open-database.ts";
import { certificates, localhostCertificate } from "../fixtures/certificates.ts";
import { temporaryDirectory } from "../support/daemon.ts";
import { startMariadbServer, withoutMariadb } from "../support/mariadb-server.ts";
import { startPostgresServer, withoutPostgres } from "../support/postgres-server.ts";

interface Kind {
  skip: string | false;
  start(t: TestContext, tls: TlsFiles | undefined): Promise<string>;
  /** A query whose row has something in it if the connection is encrypted. */
  encryption: string;
}

/** Starts a server. @returns the URL of a database, with `localhost` as the host */
async function startMariadb(t: TestContext, tls: TlsFiles | undefined): Promise<string> {
  const directory = temporaryDirectory(t);
  const [certificate, key] = [join(directory, "certificate.pem"), join(directory, "key.pem")];
  if (tls !== undefined) {
    writeFileSync(certificate, tls.cert);
    writeFileSync(key, tls.key);
  }
  const settings = tls === undefined ? ["--skip-ssl"] : [`--ssl-cert=${certificate}`, `--ssl-key=${key}`];
  const server = await startMariadbServer(settings);
  t.after(() => server.stop());
  return server.url("mysql").replace("127.0.0.1", "localhost");
}

async function startPostgres(t: TestContext, tls: TlsFiles | undefined): Promise<string> {
  const server = await startPostgresServer(tls);
  t.after(() => server.stop());
  return server.url("postgres").replace("127.0.0.1", "localhost");
}

const kinds: Readonly<Record<string, Kind>> = {
  MariaDB: {
    ...{ skip: withoutMariadb, start: startMariadb },
    encryption:
      "SELECT VARIABLE_VALUE AS v FROM information_schema.SESSION_STATUS WHERE VARIABLE_NAME = 'Ssl_cipher'",
  },
  PostgreSQL: {
    ...{ skip: withoutPostgres, start: startPostgres },
    encryption: "SELECT coalesce(cipher, '') AS v FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
  },
};

for (const [kind, { skip, start, encryption }] of Object.entries(kinds)) {
  /** Returns the cipher of a connection; "" without encryption. */
  const cipherOf = async (url: string, parameters: string): Promise<string> => {
    const address = `${url}${parameters}`;
    assert.equal(checkDatabase(address), undefined);
    const { database } = await openDatabase(address, "");
    try {
      const [row] = await database.rows(encryption);
      return String(row!.v);
    } finally {
      await database.close();
    }
  };

  test(`${kind}: the connection is encrypted, and the certificate is checked`, { skip }, async (t) => {
    const directory = temporaryDirectory(t);
    const [own, other] = [join(directory, "own.pem"), join(directory, "other.pem")];
    writeFileSync(own, localhostCertificate.cert);
    writeFileSync(other, certificates[0].cert);
    const url = await start(t, localhostCertificate);
    const address = url.replace("localhost", "127.0.0.1");
    assert.equal(await cipherOf(url, ""), "");
    for (const parameters of [
      "?sslmode=require",
      `?sslmode=verify-ca&sslrootcert=${own}`,
      `?sslmode=verify-full&sslrootcert=${own}`,
      `?ssl-mode=VERIFY_IDENTITY&ssl-ca=${own}`,
      `?ssl=true&sslrootcert=${own}`,
      `?sslrootcert=${own}`,
    ])
      assert.notEqual(await cipherOf(url, parameters), "", parameters);
    assert.notEqual(await cipherOf(address, `?sslmode=verify-ca&sslrootcert=${own}`), "");
    for (const parameters of [
      "?sslmode=verify-full",
      "?ssl=true",
      `?sslmode=verify-ca&sslrootcert=${other}`,
      `?sslmode=require&sslrootcert=${other}`,
    ])
      await assert.rejects(cipherOf(url, parameters), /self-signed certificate/, parameters);
    await assert.rejects(cipherOf(url, `?sslrootcert=${directory}/none`), /cannot read .*none: no such file/);
    writeFileSync(other, "no certificate");
    await assert.rejects(cipherOf(url, `?sslrootcert=${other}`), /has no certificate in PEM/);
  });

  test(`${kind}: a certificate for another host, and a server without TLS, are refused`, {
    skip,
  }, async (t) => {
    const directory = temporaryDirectory(t);
    const own = join(directory, "own.pem");
    writeFileSync(own, certificates[0].cert);
    const url = await start(t, certificates[0]);
    assert.notEqual(await cipherOf(url, `?sslmode=verify-ca&sslrootcert=${own}`), "");
    await assert.rejects(
      cipherOf(url, `?sslmode=verify-full&sslrootcert=${own}`),
      /does not match certificate/,
    );
    const plain = await start(t, undefined);
    await assert.rejects(cipherOf(plain, "?sslmode=require"), /does not (support|offer)/);
  });
}

test("mistakes in the parameters for TLS name the remedy", () => {
  const mysql = "mysql://tracker@db.example.com/site";
  const mistakes: [string, RegExp][] = [
    [`${mysql}?sslmode=prefer`, /sslmode=prefer: expected disable, require, verify-ca or verify-full/],
    [`${mysql}?sslmode=require&ssl=true`, /sslmode and ssl say the same/],
    [`${mysql}?sslmode=disable&sslrootcert=x`, /needs sslmode=verify-ca or verify-full/],
    [`${mysql}?sslrootcert=`, /expected the path of a file/],
    [`${mysql}?sslmodus=require`, /no parameter "sslmodus"; there are sslmode/],
    ["mysql://tracker@127.0.0.1/site?sslmode=verify-full", /needs the name of the host/],
    ["mysql://tracker@[::1]/site?ssl=1", /needs the name of the host/],
  ];
  for (const [url, message] of mistakes) assert.match(checkDatabase(url) ?? "", message, url);
  for (const parameters of ["", "?sslmode=disable", "?ssl=0", "?ssl"])
    assert.equal(checkDatabase(`${mysql}${parameters}`), undefined, parameters);
  assert.equal(checkDatabase("postgres://tracker@127.0.0.1/site?sslmode=verify-full"), undefined);
});
