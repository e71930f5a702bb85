/** A site that fetches its traffic from the admin API. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { announce } from "../../src/client/tracker-client.ts";
import { SiteAdministration } from "../../src/private/sites/sql/administration.ts";
import { openDatabase } from "../../src/private/sites/sql/open-database.ts";
import { createTables } from "../../src/private/sites/sql/schema.ts";
import { askAt, adminTokens as tokens } from "../support/admin-server.ts";
import { Daemon, temporaryDirectory } from "../support/daemon.ts";

interface Reply {
  from: number;
  to: number;
  instance: string;
  users: { id: number; uploaded: number }[];
  peers: { ip: string }[];
  detail: string;
}

test("a site fetches each byte once, and the tracker keeps what the site has not confirmed", async (t) => {
  const directory = temporaryDirectory(t);
  const database = join(directory, "private.sqlite");
  writeFileSync(database, "");
  const open = await openDatabase(database, "");
  await createTables(open);
  const administration = new SiteAdministration(open);
  const { passkey } = await administration.addUser("ann");
  const infoHash = Buffer.alloc(20, 7);
  await administration.addTorrent({ v1: infoHash });
  await open.database.close();
  const config = {
    ...{ admin: { tokens }, workers: 1 },
    private: { site: "http", database, journal: { dir: join(directory, "journal") } },
  };
  const daemon = await Daemon.start(t, config);
  const { url } = await daemon.until(({ msg }) => msg === "serving dashboard and admin API");
  const ask = askAt<Reply>(url!);
  const tracker = daemon.url("http");
  const send = (uploaded: bigint) =>
    announce(`${tracker}/announce/${passkey}`, {
      ...{ infoHash, peerId: Buffer.from("-XX0001-123456789012"), port: 6881, uploaded, left: 0n },
    });
  const empty = (await ask("GET", "/journal?after=0")).body;
  assert.deepEqual([empty.from, empty.to, empty.users], [0, 0, []]);
  const waiting = ask("GET", "/journal?after=0&wait=30");
  await send(0n);
  assert.equal((await waiting).body.to, 1, "it responds as soon as there is traffic");
  await send(500n);
  // The response to an announce does not wait for the journal.
  let { body } = await ask("GET", "/journal?after=0&wait=30");
  while (body.to < 2) ({ body } = await ask("GET", "/journal?after=0&wait=30"));
  assert.deepEqual([body.to, body.users[0]!.uploaded], [2, 500], "the response may have been lost");
  assert.equal(body.peers.length, 1);
  await send(700n);
  const next = (await ask("GET", "/journal?after=2&wait=30")).body;
  assert.deepEqual([next.from, next.to, next.users[0]!.uploaded], [2, 3, 200]);
  const beyond = await ask("GET", "/journal?after=9");
  assert.equal(beyond.status, 409);
  assert.match(beyond.body.detail, /the journal has the records 1 to 3, not those after 9/);
  assert.equal((await ask("GET", "/journal")).status, 400, "the site says what it has");
});
