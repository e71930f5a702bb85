import { integer, options } from "../../../options/index.ts";
import { recordErrorCode } from "../../../private/site-records.ts";
import { type Endpoint, endpoint } from "../endpoint.ts";
import { Problem } from "../problem.ts";
import { boolean, count, list, nullable, object, string } from "../shape.ts";

/** What `/journal` needs. */
export interface JournalDeps {
  /**
   * Returns the traffic after a record as JSON, once there is some or after `waitMs`. Undefined in a public tracker.
   * @returns undefined if the tracker itself brings the traffic to the site
   */
  readonly readJournal: ((after: number, waitMs: number) => Promise<string | undefined>) | undefined;
}

const bytes = {
  uploaded: count("Credited bytes."),
  downloaded: count("Credited bytes."),
  raw_uploaded: count("Bytes without factors."),
  raw_downloaded: count("Bytes without factors."),
};
const pair = { user: count("Its id."), torrent: count("Its id.") };

/** What `renderBatch` renders. */
const traffic = object({
  instance: string("The journal: 32 hexadecimal digits. Each journal has its own numbers of records."),
  from: count("The record before the first one."),
  to: count("The last record."),
  users: list(object({ id: count(), ...bytes }), "What is added to users."),
  history: list(
    object({
      ...pair,
      ...bytes,
      seedtime: count("Seconds."),
      leechtime: count("Seconds."),
      first_seen: count("Seconds since 1970."),
      last_seen: count("Seconds since 1970."),
      completed_at: nullable(count("Seconds since 1970; null if the download was not completed.")),
    }),
    "What is added to pairs of user and torrent.",
  ),
  peers: list(
    object({
      ...pair,
      peer_id: string("40 hexadecimal digits."),
      client: string("The name and version of the client."),
      ip: string("As `store_ips` says."),
      port: count(),
      uploaded: count("By the counter of the client."),
      downloaded: count("By the counter of the client."),
      left: count("Bytes; 0 for a seeder."),
      active: boolean("Whether the client has not stopped."),
      updated_at: count("Seconds since 1970."),
    }),
    "The last announce of each client.",
  ),
  snatches: list(
    object({ ...pair, at: count("Seconds since 1970."), ip: string("As `store_ips` says.") }),
    "Downloads that were completed.",
  ),
});

/** Makes `/journal`: the traffic of a private tracker, for a site that fetches it. */
export function journalEndpoints({ readJournal }: JournalDeps): Endpoint[] {
  return [
    endpoint({
      method: "GET",
      path: "/journal",
      scope: "admin",
      summary: "The traffic of a private tracker after a record, for a site that fetches it",
      query: options({
        after: integer(0, Number.MAX_SAFE_INTEGER).describe(
          "The last record that the site has. The tracker may then forget it.",
        ),
        wait: integer(0, 60).default("0").describe("Seconds to wait if there is no traffic."),
      }),
      response: traffic,
      streams: "application/json",
      problems: [409, 501, 503],
      async handle({ query: { after, wait } }) {
        const json = await read(readJournal, after, 1000 * wait);
        return (async function* () {
          yield Buffer.from(json);
        })();
      },
    }),
  ];
}

async function read(readJournal: JournalDeps["readJournal"], after: number, waitMs: number): Promise<string> {
  if (readJournal === undefined)
    throw new Problem(501, 'the tracker is public; the block "private" makes it private');
  let json: string | undefined;
  try {
    json = await readJournal(after, waitMs);
  } catch (error) {
    const { code, message } = error as { code?: string; message: string };
    throw new Problem(code === recordErrorCode ? 409 : 503, message);
  }
  if (json !== undefined) return json;
  throw new Problem(501, "the tracker brings the traffic to the site; the site http without url fetches it");
}
