/** The site `http`: signed batches to a site of any software, here the one of the examples. */
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { type TestContext, test } from "node:test";
import { HttpSite } from "../../src/private/sites/http/http-site.ts";
import { parseWebhookSecret, signWebhook } from "../../src/private/sites/http/sign-webhook.ts";
import { openDatabase } from "../../src/private/sites/sql/open-database.ts";
import { createTables } from "../../src/private/sites/sql/schema.ts";
import { Program, temporaryDirectory } from "../support/daemon.ts";
import { batchOf } from "../support/private-batch.ts";

const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const program = join(import.meta.dirname, "../../examples/private-site/private-site.ts");

/** A tracker's side of the site, which sends to `url`. */
async function openSite(t: TestContext, url: string, key = secret): Promise<HttpSite> {
  const file = join(temporaryDirectory(t), "private.sqlite");
  writeFileSync(file, "");
  const open = await openDatabase(file, "");
  await createTables(open);
  const site = new HttpSite({ open, url, key: parseWebhookSecret(key) });
  t.after(() => site.close());
  return site;
}

/** The site of the examples. */
class ExampleSite {
  readonly file: string;
  url = "";

  private constructor(t: TestContext) {
    this.file = join(temporaryDirectory(t), "site.sqlite");
  }

  static async start(t: TestContext): Promise<ExampleSite> {
    const site = new ExampleSite(t);
    const env = { WEBHOOK_SECRET: secret, PORT: "0" };
    const running = new Program(t, process.execPath, [program, site.file], env);
    while (!running.stdout.includes("takes traffic")) {
      const ended = await Promise.race([running.ended, new Promise((resolve) => setTimeout(resolve, 10))]);
      assert.equal(ended, undefined, running.stderr);
    }
    site.url = /http\S+/.exec(running.stdout)![0];
    return site;
  }

  rows(sql: string): unknown[] {
    const database = new DatabaseSync(this.file);
    try {
      return database
        .prepare(sql)
        .all()
        .map((row) => Object.values(row));
    } finally {
      database.close();
    }
  }

  execute(sql: string): void {
    const database = new DatabaseSync(this.file);
    database.exec(sql);
    database.close();
  }
}

test("the signature is that of Standard Webhooks", () => {
  // Vector of the specification's libraries.
  const headers = signWebhook(
    parseWebhookSecret(secret),
    "msg_p5jXN8AQM9LWM0D4loKWxJek",
    1614265330,
    '{"test": 2432232314}',
  );
  assert.deepEqual(headers, {
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": "1614265330",
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
  });
  for (const bad of ["", "short", "whsec_c2hvcnQ=", "not base64 at all, but long enough for a key"])
    assert.throws(() => parseWebhookSecret(bad), /openssl rand -base64 32/);
});

test("batches are added once, also if a response is lost or the site is restored from a backup", async (t) => {
  const example = await ExampleSite.start(t);
  const site = await openSite(t, example.url);
  const first = batchOf(0, [{ uploaded: 100 }, { user: 2, uploaded: 50, downloaded: 7 }]);
  assert.deepEqual(await site.apply("one", first), { isApplied: true, quarantined: 0 });
  assert.equal(await site.lastApplied("one"), 2);
  const users = () => example.rows("SELECT * FROM users ORDER BY id");
  const credited = [
    [1, 100, 0],
    [2, 50, 7],
  ];
  assert.deepEqual(users(), credited);

  await site.note("one", 0); // as after a response that was lost
  assert.deepEqual(await site.apply("one", first), { isApplied: true, quarantined: 0 });
  assert.deepEqual(users(), credited);
  assert.equal(await site.lastApplied("one"), 2);

  const second = batchOf(2, [{ uploaded: 1 }]);
  await site.apply("one", second);
  example.execute("UPDATE users SET uploaded = uploaded - 1 WHERE id = 1; UPDATE ledger SET seq = 2"); // a backup
  const third = batchOf(3, [{ uploaded: 10 }]);
  assert.deepEqual(await site.apply("one", third), { isApplied: false, last: 2 });
  assert.equal(await site.lastApplied("one"), 2);
  await site.apply("one", batchOf(2, [{ uploaded: 1 }, { uploaded: 10 }]));
  assert.deepEqual(users(), [
    [1, 111, 0],
    [2, 50, 7],
  ]);
});

test("a site that refuses, fails, redirects or responds nonsense has not applied anything", async (t) => {
  const example = await ExampleSite.start(t);
  const wrong = await openSite(t, example.url, "A".repeat(44));
  await assert.rejects(
    wrong.apply("one", batchOf(0, [{ uploaded: 1 }])),
    /status 401 and "the signature is wrong"/,
  );
  assert.deepEqual(example.rows("SELECT * FROM users"), []);
  const responses: [number, string][] = [
    [500, "broken"],
    [302, ""],
    [200, "<html>"],
    [200, '{"applied": "1"}'],
    [200, '{"applied": -1}'],
    [200, "null"],
  ];
  let next: [number, string] = [200, ""];
  const server = createServer((_, response) => response.writeHead(next[0], { location: "/" }).end(next[1]));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const site = await openSite(t, url);
  for (next of responses) await assert.rejects(site.apply("one", batchOf(0, [{ uploaded: 1 }])), /the site/);
  assert.equal(await site.lastApplied("one"), 0);
  server.close();
  server.closeAllConnections();
  await assert.rejects(site.apply("one", batchOf(0, [{ uploaded: 1 }])), /the site does not respond/);
});

test("a request has the sums of all records, and is signed with its body", async (t) => {
  let seen: { headers: NodeJS.Dict<string | string[]>; body: string } | undefined;
  const server = createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request) body += chunk;
    seen = { headers: request.headers, body };
    response.end('{"applied": 2}');
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  const site = await openSite(t, `http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  const most = 2 ** 53 - 1;
  await site.apply(
    "one",
    batchOf(0, [
      { uploaded: most, isSnatch: true },
      { uploaded: most, left: 3 },
    ]),
  );
  const { headers, body } = seen!;
  assert.equal(headers["webhook-id"], "one:0-2");
  const signed = `one:0-2.${headers["webhook-timestamp"]}.${body}`;
  const key = Buffer.from(secret.slice(6), "base64");
  assert.equal(
    headers["webhook-signature"],
    `v1,${createHmac("sha256", key).update(signed).digest("base64")}`,
  );
  assert.match(body, /"users":\[\{"id":1,"uploaded":18014398509481982,"downloaded":0,/);
  const { history, peers, snatches } = JSON.parse(body);
  assert.equal(history[0].seedtime, 120);
  assert.deepEqual(snatches, [{ user: 1, torrent: 1, at: 1_800_000_000, ip: "192.0.2.9" }]);
  assert.deepEqual(peers, [
    {
      ...{ user: 1, torrent: 1, peer_id: peers[0].peer_id, client: "XX0001", ip: "192.0.2.9", port: 6881 },
      ...{ uploaded: 0, downloaded: 0, left: 3, active: true, updated_at: 1_800_000_000 },
    },
  ]);
});
