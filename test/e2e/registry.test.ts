/**
 * A registry approves torrents by tokens: real clients share an approved one through the tracker while the registry
 * changes its keys, and while it is down; what it has not approved is refused.
 *
 * A missing client skips its test; with CHIHAYA_REQUIRE_CLIENTS=1 it fails it.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { toHex } from "../../src/bittorrent/info-hash.ts";
import { announce, scrape } from "../../src/client/tracker-client.ts";
import { tamperedToken, unsignedToken } from "../support/jwt-issuer.ts";
import { aria2 } from "./clients/aria2.ts";
import { type Task, type TorrentClient, withoutClients } from "./clients/client.ts";
import { libtorrent } from "./clients/libtorrent.ts";
import { findFreePort } from "./ports.ts";
import type { RunningProcess } from "./process.ts";
import { Registry } from "./registry.ts";
import { createPayload, createTorrent, hashPieces } from "./torrent.ts";
import { startTracker, type TestTracker, type Transport } from "./tracker.ts";
import { waitUntil } from "./wait-until.ts";

const payload = createPayload(20 * 1024 * 1024);
const checksum = createHash("sha256").update(payload).digest("hex");
const pieces = hashPieces(payload);
const claims = { iss: "r", aud: "t" };

const skip = await withoutClients(aria2, libtorrent);

/** Where the token is in an announce URL: it must be short over UDP, where libtorrent sends 255 bytes. */
const inUrl = { http4: "?jwt=", udp4: "/" } as const;
const algorithms = { http4: "RS256", udp4: "EdDSA" } as const;
type Over = keyof typeof inUrl;

describe("a registry's tokens", { concurrency: 2 }, () => {
  let directory: string;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "chihaya-e2e-"));
  });
  after(() => rm(directory, { recursive: true, force: true }));

  /** A registry, and a tracker that believes it. */
  async function start(
    interval: string,
  ): Promise<{ registry: Registry; tracker: TestTracker; stop(): Promise<void> }> {
    const registry = await Registry.start();
    const home = await mkdtemp(join(directory, "tracker-"));
    const hooks = `    - name: jwt
      options:
        issuer: r
        audience: t
        jwk_set_url: "${registry.keysUrl}"
        jwk_set_update_interval: ${interval}
        algorithms: [RS256, EdDSA]
`;
    try {
      const tracker = await startTracker(home, { hooks, announceRoutes: ["/announce", "/announce/:jwt"] });
      const stop = async () => {
        await Promise.all([tracker.stop(), registry.process.stop()]);
      };
      return { registry, tracker, stop };
    } catch (error) {
      await registry.process.stop();
      throw error;
    }
  }

  for (const [seed, download, over] of [
    [libtorrent, aria2, "http4"],
    [aria2, libtorrent, "http4"],
    [libtorrent, libtorrent, "udp4"],
  ] as const) {
    it(`${seed.name} to ${download.name} over ${over}, while the keys change`, { skip }, async () => {
      const { registry, tracker, stop } = await start("5m");
      try {
        await transfer({ registry, tracker, seed, download, over, between: () => registry.tell("/rotate") });
      } finally {
        await stop();
      }
    });
  }

  it("a transfer while the registry is down", { skip }, async () => {
    const { registry, tracker, stop } = await start("1s");
    try {
      const tokens = await Promise.all(
        ["seed", "download"].map((jti) => tokenFor(registry, "http4", "down", jti)),
      );
      await registry.tell("/break");
      await waitUntil(
        "the tracker was refused new keys",
        async () => ((await registry.tell("/refused")) as number) > 0,
      );
      const made = { registry, tracker, seed: libtorrent, download: aria2, over: "http4" } as const;
      await transfer({ ...made, name: "down", tokens });
    } finally {
      await stop();
    }
  });

  describe("refuses", () => {
    let running: Awaited<ReturnType<typeof start>>;
    const infohash = "0123456789abcdef0123456789abcdef01234567";
    const now = Math.floor(Date.now() / 1000);

    before(async () => {
      running = await start("5m");
    });
    after(() => running?.stop());

    const invalid = "unapproved request: invalid jwt";
    const table: [
      what: string,
      reason: string | undefined,
      token: (registry: Registry, algorithm: string) => unknown,
    ][] = [
      [
        "nothing that is approved",
        undefined,
        (registry, algorithm) => registry.sign({ ...claims, infohash }, algorithm),
      ],
      ["an announce without a token", "unapproved request: missing jwt", () => ""],
      [
        "other infohashes",
        invalid,
        (registry, algorithm) =>
          registry.sign({ ...claims, infohash: infohash.replace("0", "1") }, algorithm),
      ],
      [
        "what has expired",
        invalid,
        (registry, algorithm) => registry.sign({ ...claims, infohash, exp: now - 60 }, algorithm),
      ],
      [
        "another audience",
        invalid,
        (registry, algorithm) => registry.sign({ ...claims, infohash, aud: "x" }, algorithm),
      ],
      [
        "a tampered token",
        invalid,
        async (registry, algorithm) =>
          tamperedToken(await registry.sign({ ...claims, infohash: "x" }, algorithm), {
            ...claims,
            infohash,
          }),
      ],
      ["alg none", invalid, () => unsignedToken({ alg: "none", kid: "0" }, { ...claims, infohash })],
    ];
    for (const over of ["http4", "udp4"] as const) {
      for (const [what, reason, token] of table) {
        it(`${what} over ${over}`, async () => {
          const made = (await token(running.registry, algorithms[over])) as string;
          const url = `${running.tracker.url(over)}${made === "" ? "" : inUrl[over] + made}`;
          const parameters = {
            infoHash: Buffer.from(infohash, "hex"),
            peerId: new Uint8Array(20),
            port: 1,
            left: 1n,
          };
          const answer = announce(url, { ...parameters, event: 3 });
          if (reason === undefined) await answer;
          else await assert.rejects(answer, { kind: "refused", message: reason });
        });
      }
    }

    it("not the request by which Quay checks a configuration", async () => {
      const infoHash = createHash("sha1").update("test").digest();
      const jwt = await running.registry.sign({ ...claims, infohash: infoHash.toString("hex") });
      const query = [...infoHash].map((byte) => `%${byte.toString(16).padStart(2, "0")}`).join("");
      const zeros = "uploaded=0&downloaded=0&left=0&numwant=0&port=80";
      const url = `${running.tracker.url("http4")}?info_hash=${query}&peer_id=-QUAY00-6wfG2wk6wWLc&${zeros}&jwt=${jwt}`;
      const response = await fetch(url);
      const body = await response.text();
      assert.equal(response.status, 200);
      assert.doesNotMatch(body, /failure reason|invalid jwt|go_goroutines/);
    });

    it("what a withdrawn key has signed", async () => {
      const { registry, tracker } = running;
      const parameters = {
        infoHash: Buffer.from(infohash, "hex"),
        peerId: new Uint8Array(20),
        port: 1,
        left: 1n,
      };
      const ask = (token: string) =>
        announce(`${tracker.url("http4")}?jwt=${token}`, { ...parameters, event: 3 });
      const before = await registry.sign({ ...claims, infohash });
      await ask(before);
      await registry.tell("/rotate");
      await registry.tell("/forget");
      const fresh = await registry.sign({ ...claims, infohash });
      await ask(fresh);
      await waitUntil("every worker knows", async () => {
        const answers = await Promise.allSettled(Array.from({ length: 8 }, () => ask(before)));
        return answers.every(({ status }) => status === "rejected");
      });
      await ask(fresh);
    });
  });

  function torrentFor(name: string, url: string) {
    return createTorrent(`${name}.bin`, url, { length: payload.length, pieces });
  }

  function tokenFor(registry: Registry, over: Over, name: string, jti: string): Promise<string> {
    const infohash = toHex(torrentFor(name, "").infoHash);
    // a short token over UDP: no room for more claims
    const own = over === "http4" ? { jti } : {};
    return registry.sign({ ...claims, infohash, ...own }, algorithms[over]);
  }

  interface Transfer {
    registry: Registry;
    tracker: TestTracker;
    seed: TorrentClient;
    download: TorrentClient;
    over: Over;
    name?: string;
    /** Of seed and download, where they have been made before. */
    tokens?: readonly string[];
    /** Done when the seed is known to the tracker. */
    between?: () => Promise<unknown>;
  }

  async function transfer(made: Transfer): Promise<void> {
    const { registry, tracker, seed, download, over, between } = made;
    const { name = `${seed.name}-${download.name}-${over}` } = made;
    const processes: RunningProcess[] = [];
    const { infoHash } = torrentFor(name, "");
    const start = async (client: TorrentClient, role: Task["role"], token: string | undefined) => {
      token ??= await tokenFor(registry, over, name, role);
      const home = join(directory, name, role);
      const task: Task = {
        role,
        torrent: join(home, "signed.torrent"),
        directory: join(home, "files"),
        state: join(home, "state"),
        port: await findFreePort(),
        family: 4,
        udp: over === "udp4",
      };
      await mkdir(task.directory, { recursive: true });
      await mkdir(task.state);
      await writeFile(
        task.torrent,
        torrentFor(name, `${tracker.url(over as Transport)}${inUrl[over]}${token}`).bytes,
      );
      const file = join(task.directory, `${name}.bin`);
      if (role === "seed") await writeFile(file, payload);
      processes.push(await client.start(task));
      return file;
    };
    const counts = async () => {
      const ended = processes.find((process) => process.ended !== undefined);
      if (ended) throw new Error(`${ended.name} ended with ${ended.ended}`);
      const [swarm] = await scrape(tracker.url(over), [infoHash]);
      return swarm ?? { complete: 0, incomplete: 0 };
    };
    try {
      await start(seed, "seed", made.tokens?.[0]);
      await waitUntil("the tracker counts the seeder", async () => (await counts()).complete === 1);
      await between?.();
      const file = await start(download, "download", made.tokens?.[1]);
      await waitUntil("the file is the same", async () => (await checksumOf(file)) === checksum);
      await waitUntil("the tracker counts two seeders", async () => (await counts()).complete === 2);
    } catch (error) {
      const outputs = processes.map((process) => `--- ${process.name}\n${process.output()}`);
      throw new Error([(error as Error).message, ...outputs, `--- tracker\n${tracker.output()}`].join("\n"), {
        cause: error,
      });
    } finally {
      await Promise.all(processes.map((process) => process.stop()));
    }
  }
});

/** The checksum of a file that has the payload's length. */
async function checksumOf(path: string): Promise<string | undefined> {
  const { size } = await stat(path).catch(() => ({ size: -1 })); // there may be none yet
  return size === payload.length
    ? createHash("sha256")
        .update(await readFile(path))
        .digest("hex")
    : undefined;
}
