/**
 * A site that takes the traffic of a private tracker with `site: http`: it checks the signature of each request, and adds the traffic
 * to its own tables together with the number of the last record, in one transaction.
 *
 *     WEBHOOK_SECRET=$(cat secret) PORT=8080 node private-site.ts site.sqlite
 */
import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { DatabaseSync } from "node:sqlite";

/** The part of a batch that this site uses. docs/private.md describes all of it. */
interface Batch {
  instance: string;
  /** The batch has the records after `from`, up to and including `to`. */
  from: number;
  to: number;
  users: { id: number; uploaded: number; downloaded: number }[];
}

/** Seconds that the clocks of tracker and site may differ. Older requests are refused, as others may have recorded them. */
const tolerance = 300;
/** Bytes of a request, at most. */
const mostBytes = 32 * 1024 * 1024;

const key = Buffer.from((process.env.WEBHOOK_SECRET ?? "").trim().replace(/^whsec_/, ""), "base64");
if (key.length < 24) throw new Error("set WEBHOOK_SECRET to the secret of the tracker");
const database = new DatabaseSync(process.argv[2] ?? "site.sqlite");
database.exec(`
  CREATE TABLE IF NOT EXISTS users (id INTEGER PRIMARY KEY, uploaded INTEGER NOT NULL, downloaded INTEGER NOT NULL);
  CREATE TABLE IF NOT EXISTS ledger (instance TEXT PRIMARY KEY, seq INTEGER NOT NULL);
`);

/** Whether a request comes from the tracker, and is not an old one. */
function isSigned({ headers }: IncomingMessage, body: string): boolean {
  const [id, timestamp] = [`${headers["webhook-id"]}`, `${headers["webhook-timestamp"]}`];
  if (!(Math.abs(Date.now() / 1000 - Number(timestamp)) <= tolerance)) return false;
  const expected = createHmac("sha256", key).update(`${id}.${timestamp}.${body}`).digest();
  return `${headers["webhook-signature"]}`.split(" ").some((one) => {
    const given = Buffer.from(one.replace(/^v1,/, ""), "base64");
    return given.length === expected.length && timingSafeEqual(given, expected);
  });
}

/** Adds a batch, unless the ledger shows that the site has another record than the batch begins with. @returns the last record of the site */
function apply({ instance, from, to, users }: Batch): number {
  database.exec("BEGIN IMMEDIATE");
  try {
    const row = database.prepare("SELECT seq FROM ledger WHERE instance = ?").get(instance);
    const last = Number(row?.seq ?? 0);
    if (last === from) {
      const add = database.prepare(
        "INSERT INTO users VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET uploaded = uploaded + ?2, downloaded = downloaded + ?3",
      );
      for (const { id, uploaded, downloaded } of users) add.run(id, uploaded, downloaded);
      database
        .prepare("INSERT INTO ledger VALUES (?1, ?2) ON CONFLICT DO UPDATE SET seq = ?2")
        .run(instance, to);
    }
    database.exec("COMMIT");
    return last === from ? to : last;
  } catch (error) {
    database.exec("ROLLBACK");
    throw error;
  }
}

async function respond(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > mostBytes) return void response.writeHead(413).end();
    chunks.push(chunk);
  }
  const body = Buffer.concat(chunks).toString();
  if (!isSigned(request, body)) return void response.writeHead(401).end("the signature is wrong");
  const applied = apply(JSON.parse(body) as Batch);
  response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ applied }));
}

const server = createServer((request, response) => {
  respond(request, response).catch((error) => {
    console.error(error);
    response.writeHead(500).end();
  });
});
server.listen(Number(process.env.PORT ?? 8080), "127.0.0.1", () => {
  console.log(`takes traffic at http://127.0.0.1:${(server.address() as { port: number }).port}/`);
});
