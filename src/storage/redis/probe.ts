import { AnnounceRequest, AnnounceResponse } from "../../bittorrent/announce.ts";
import { AnnounceEvent } from "../../bittorrent/event.ts";
import { PeerList } from "../../bittorrent/peer-list.ts";
import { ScrapeRequest, ScrapeResponse } from "../../bittorrent/scrape.ts";
import type { Clock } from "../../lib/clock.ts";
import type { PeerShape } from "../memory/layout.ts";
import { Step } from "../peer-store.ts";
import { Batch } from "./batch.ts";
import { isForbidden } from "./redis-errors.ts";
import type { RedisNode, RedisPort } from "./redis-port.ts";

/**
 * Creates a batch that runs every command of the script and leaves nothing behind: a peer announces as a leecher,
 * becomes a seeder and stops, and its torrent is scraped.
 */
export function createProbe(infoHash: Uint8Array, shape: PeerShape): Batch {
  const batch = new Batch(shape, 512);
  const response = createUnreadResponse();
  const request = new AnnounceRequest();
  request.infoHash.set(infoHash);
  request.address.set(4, Uint8Array.of(192, 0, 2, 1), 0);
  request.port = 1;
  request.left = 1n;
  batch.addAnnounce(request, response, Step.apply);
  request.left = 0n;
  batch.addAnnounce(request, response, Step.apply);
  const scrape = new ScrapeRequest(1);
  scrape.add(infoHash, 0);
  batch.addScraped(scrape, new ScrapeResponse(1), 0);
  request.event = AnnounceEvent.stopped;
  batch.addAnnounce(request, response, Step.apply);
  return batch;
}

/** Creates a response that nothing reads. */
function createUnreadResponse(): AnnounceResponse {
  return new AnnounceResponse(new PeerList(4, new Uint8Array(0)), new PeerList(6, new Uint8Array(0)));
}

/** Returns the seconds by which the tracker's clock is certainly ahead of the clock of Redis; negative if behind. */
export async function skewOf(node: RedisNode, clock: Clock): Promise<number> {
  const before = clock.unixSeconds;
  const [reply] = (await node.send(["TIME"])) as [Buffer];
  const after = clock.unixSeconds;
  const seconds = Number(reply);
  return before > seconds ? before - seconds : Math.min(0, after - seconds);
}

/** The commands of an announce, on a key that does not exist afterwards. */
const commands: readonly (readonly [name: string, ...args: string[]])[] = [
  ["HSET", "m", ""],
  ["EXPIRE", "1"],
  ["HGET", "m"],
  ["HDEL", "m"],
  ["DEL"],
  ["UNLINK"],
];

/**
 * Finds the commands that the Redis user may not run, since Redis does not always name them.
 * @throws Error that names the commands, with `problem` as its cause
 */
export async function checkPermissions(port: RedisPort, key: Buffer, problem: Error): Promise<never> {
  const forbidden: string[] = [];
  const attempt = async (name: string, ...args: (string | Buffer)[]): Promise<void> => {
    await port.send(key, [name, ...args]).catch((error: Error) => {
      if (isForbidden(error)) forbidden.push(name);
    });
  };
  await attempt("EVAL", "return 1", "1", key);
  await attempt("EVALSHA", "0".repeat(40), "1", key);
  for (const [name, ...args] of commands) await attempt(name, key, ...args);
  const names = forbidden.length > 0 ? ` (it may not run ${forbidden.join(", ")} on this store's keys)` : "";
  throw new Error(`the Redis user lacks permissions${names}: ${problem.message}`, { cause: problem });
}
