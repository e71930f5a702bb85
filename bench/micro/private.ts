import { createRandom } from "../../src/lib/clock.ts";
import type { Hook } from "../../src/middleware/hook.ts";
import { TrackerLogic } from "../../src/middleware/logic.ts";
import { Metrics } from "../../src/observability/metrics.ts";
import { Directory } from "../../src/private/directory.ts";
import { refusalsOf } from "../../src/private/errors.ts";
import { createPrivateHook } from "../../src/private/private-hook.ts";
import { createAccountingMemory, Ring } from "../../src/private/ring.ts";
import { MemoryStore } from "../../src/storage/memory/memory-store.ts";
import { UdpInProcess } from "../../test/support/udp-in-process.ts";
import type { Micro, MicroCase } from "./micro.ts";

const slots = 32;
const [users, torrents] = [100_000, 1_000_000];
const clock = { seconds: 1000, unixSeconds: 1_800_000_000 };

/** A worker of a private tracker: its hook, and the ring of its records. */
async function openPrivate(): Promise<{ hook: Hook; ring: Ring }> {
  const directory = Directory.create({ users, torrents });
  for (let id = 1; id <= users; id++) {
    const passkey = passkeyOf(id);
    directory.putUser({ id, passkey, isEnabled: true, canLeech: true, isHidden: false });
  }
  const infoHash = Buffer.alloc(20, 7);
  for (let id = 1; id <= torrents; id++) {
    infoHash.writeUInt32BE(id - 1, 0);
    directory.putTorrent({ id, infoHashes: [infoHash], up: 100, down: 100 });
  }
  const { rings, signal } = createAccountingMemory(1);
  const memory = { ring: rings[0]!, signal };
  const subscribe = (_: string, listener: (value: unknown) => void) => {
    listener(directory.memory);
    return () => undefined;
  };
  const buffer = async (_: string, bytes: number) => new SharedArrayBuffer(bytes);
  const hook = await createPrivateHook(memory, {
    options: { announceMin: 0, peersTimeout: 7200 },
    ...{ refusals: refusalsOf("sql"), clock, metrics: new Metrics(), shared: { subscribe, buffer } },
  });
  hook.start!();
  return { hook, ring: new Ring(memory) };
}

async function openCase(isPrivate: boolean): Promise<MicroCase> {
  const random = createRandom(1);
  const config = { gcInterval: 180, peerLifetime: 1860, maxPeers: 3_000_000, peerIds: false };
  const store = new MemoryStore({ config, clock, random });
  const site = isPrivate ? await openPrivate() : undefined;
  const settings = { interval: 1800, minInterval: 900, preHooks: site ? [site.hook] : [], postHooks: [] };
  const report = (where: string, error: unknown) => {
    throw new Error(`${where} failed`, { cause: error });
  };
  const udp = await UdpInProcess.start(slots, new TrackerLogic(store, settings, report), clock);
  const path = "/announce/";
  udp.connectAndAnnounce(path + passkeyOf(1));
  const { view, bytes } = udp.batch;
  const passkeyAt = 100 + path.length;
  const call = () => {
    for (let slot = 0; slot < slots; slot++) {
      const at = udp.batch.inAt(slot);
      view.setUint32(at + 16, random.next() % torrents);
      let user = random.next() % users;
      for (let digit = 31; digit > 25; digit--) {
        bytes[at + passkeyAt + digit] = 0x30 + (user % 10);
        user = (user / 10) | 0;
      }
    }
    udp.handle(slots);
    if (site === undefined) return;
    if (site.ring.waiting !== slots) throw new Error("an announce was refused");
    site.ring.release(slots); // what the accountant does after it has written the records
  };
  return { call, operations: slots };
}

function passkeyOf(id: number): string {
  return `${id % users}`.padStart(32, "0");
}

/** What the hook of a private tracker adds to an announce over UDP. */
export const privateHook: Micro = {
  title: "Announce over UDP with and without `private`: 100,000 users, 1,000,000 torrents, without sockets",
  cases: async () => ({ "without private": await openCase(false), "with private": await openCase(true) }),
};
