/** What is done for every announce must leave nothing to the garbage collector. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { AnnounceRequest, AnnounceResponse } from "../src/bittorrent/announce.ts";
import { PeerList } from "../src/bittorrent/peer-list.ts";
import { createIntervalVariation } from "../src/hooks/interval-variation/interval-variation.ts";
import type { Family } from "../src/ip/address.ts";
import { createRandom } from "../src/lib/clock.ts";
import { type Hook, RequestContext } from "../src/middleware/hook.ts";
import { TrackerLogic } from "../src/middleware/logic.ts";
import { ClientCounter } from "../src/observability/client-names.ts";
import { Metrics } from "../src/observability/metrics.ts";
import { emptyAnnounce } from "../src/private/accounting/batch.ts";
import { Sessions } from "../src/private/accounting/sessions.ts";
import { Directory } from "../src/private/directory.ts";
import { refusalsOf } from "../src/private/errors.ts";
import { createPrivateHook } from "../src/private/private-hook.ts";
import { Field, Records, recordBytes, recordWords } from "../src/private/record.ts";
import { createAccountingMemory, Ring } from "../src/private/ring.ts";
import { MemoryStore } from "../src/storage/memory/memory-store.ts";
import { approveClients, approveTorrents } from "./support/approval.ts";
import { heapGrowth } from "./support/heap-growth.ts";
import { UdpInProcess } from "./support/udp-in-process.ts";

const slots = 64;
const announces = 1_000_000;
/** Bytes an announce: a fraction of the smallest object. */
const limit = 1;

test("an allocation would be seen", () => {
  const kept: unknown[] = new Array(1000);
  let i = 0;
  const allocate = () => {
    kept[i++ % 1000] = { i };
  };
  heapGrowth(100_000, allocate);
  assert.ok(heapGrowth(100_000, allocate) > 15);
});

const hooks: Hook[] = [
  await approveClients({ blacklist: ["UT2300"] }),
  await approveTorrents({ blacklist: ["00".repeat(20)] }),
  createIntervalVariation({ modifyResponseProbability: 0.5, maxIncreaseDelta: 60 }),
];

test("a million announces of a private tracker leave nothing behind", async () => {
  const { rings, signal } = createAccountingMemory(1);
  const memory = { ring: rings[0]!, signal };
  const directory = Directory.create({ users: 1000, torrents: 1000 });
  const passkey = (n: number) => `${n}`.padStart(32, "0");
  const infoHash = (n: number) => Buffer.from(`${n}`.padStart(20, "0"));
  for (let n = 1; n <= 1000; n++) {
    directory.putUser({
      id: n,
      passkey: passkey(n),
      isEnabled: true,
      canLeech: true,
      isHidden: false,
      group: 1,
    });
    directory.putTorrent({ id: n, infoHashes: [infoHash(n)], up: 100, down: 100 });
    directory.putGrant({ user: n, torrent: 0, down: 0 });
  }
  directory.setGroups([{ id: 1, slots: 5 }]);
  directory.setClients([{ prefix: Buffer.from("-XX"), isAllowed: false }]);
  const subscribe = (_: string, listener: (value: unknown) => void) => {
    listener(directory.memory);
    return () => undefined;
  };
  const clock = { seconds: 1000, unixSeconds: 1_700_000_000 };
  const shared = { subscribe, buffer: async (_: string, bytes: number) => new SharedArrayBuffer(bytes) };
  const options = { announceMin: 900, peersTimeout: 7200 };
  const deps = { options, refusals: refusalsOf("sql"), clock, metrics: new Metrics(), shared };
  const hook = await createPrivateHook(memory, deps);
  hook.start!();
  const accountant = new Ring(memory);
  const requests = Array.from({ length: 1000 }, (_, n) => {
    const request = new AnnounceRequest();
    request.infoHash.set(infoHash(n + 1));
    const path = Buffer.from(`/announce/${passkey(n + 1)}`);
    request.params.set(path, 0, path.length, path.length);
    return request;
  });
  const response = new AnnounceResponse(
    new PeerList(4, new Uint8Array(0)),
    new PeerList(6, new Uint8Array(0)),
  );
  const context = new RequestContext();
  let n = 0;
  let refused = 0;
  const announce = () => {
    if (hook.handleAnnounce!(requests[n++ % 1000]!, response, context) !== undefined) refused++;
    if (n % 10_000 === 0) accountant.release(10_000);
  };
  heapGrowth(announces / 5, announce);
  const grown = heapGrowth(announces, announce);
  assert.equal(refused, 0);
  assert.ok(grown < limit, `the heap has grown by ${grown} bytes an announce`);
});

test("the accounts of a million announces leave nothing behind", () => {
  const sessions = new Sessions({ maxRate: 1e15, maxGap: 3900, idle: 86_400, active: 6600 });
  const clients = 5000;
  const records = new Records(new ArrayBuffer(clients * recordBytes), 0, clients);
  const { words } = records;
  for (let n = 0; n < clients; n++) {
    const at = n * recordWords;
    words[at + Field.seconds] = 1_700_000_000;
    words[at + Field.user] = words[at + Field.peerId] = n + 1;
    words[at + Field.torrent] = n % 10;
    words[at + Field.counters + 1] = 1;
  }
  const given = emptyAnnounce();
  let n = 0;
  let credited = 0;
  const announce = () => {
    const index = n++ % clients;
    words[index * recordWords + Field.seconds]! += 10;
    words[index * recordWords + Field.counters + 1]!++;
    const { seconds } = records.readNumbers(index, given);
    const addition = sessions.apply(given, seconds, records.peerId(index));
    records.complete(index, addition);
    if (addition.uploaded === 2 ** 32) credited++;
  };
  heapGrowth(announces / 5, announce);
  const grown = heapGrowth(announces, announce);
  assert.equal(credited, n - clients);
  assert.ok(grown < limit, `the heap has grown by ${grown} bytes an announce`);
});

describe("a million UDP announces leave nothing behind", () => {
  const cases: { name: string; family: Family; preHooks: Hook[]; postHooks: Hook[] }[] = [
    { name: "over IPv4, with the built-in hooks", family: 4, preHooks: hooks, postHooks: [] },
    { name: "over IPv6", family: 6, preHooks: [], postHooks: [] },
    { name: "with a posthook", family: 4, preHooks: [], postHooks: [hooks[0]!] },
  ];
  for (const { name, family, preHooks, postHooks } of cases) {
    test(name, async () => {
      const clock = { seconds: 1000, unixSeconds: 1_700_000_000 };
      const random = createRandom(1);
      const config = { gcInterval: 180, peerLifetime: 1800, maxPeers: 200_000, peerIds: false };
      const store = new MemoryStore({ config, clock, random });
      const clients = new ClientCounter(new Metrics());
      const report = (where: string, error: unknown) => {
        throw new Error(where, { cause: error });
      };
      const logic = new TrackerLogic(
        store,
        { interval: 1800, minInterval: 900, preHooks, postHooks },
        report,
        ({ peerId }) => clients.count(peerId),
      );
      const udp = await UdpInProcess.start(slots, logic, clock, {}, family);
      udp.connectAndAnnounce();
      const { batch } = udp;
      let given = 0;
      // Torrents and ports change: swarms are made, grow and are left, 64,000 peers in 1,000 torrents.
      const announceBatch = () => {
        for (let slot = 0; slot < slots; slot++) {
          const at = batch.inAt(slot);
          batch.view.setUint16(at + 16, random.next() % 1000);
          batch.view.setUint32(at + 80, random.next() % 4);
          batch.view.setUint16(at + 96, 1 + (random.next() % 1000));
        }
        udp.handle(slots);
        given += batch.outLength[0]!;
      };
      heapGrowth(announces / slots / 5, announceBatch); // compiled now, and the swarms are there
      given = 0;
      const grown = heapGrowth(announces / slots, announceBatch) / slots;
      assert.ok(given / (announces / slots) > 50, "answers without peers prove nothing");
      assert.ok(grown < limit, `the heap has grown by ${grown} bytes an announce`);
    });
  }
});
