import { HttpFrontend } from "../../src/frontend/http/http-frontend.ts";
import { http } from "../../src/frontend/http/index.ts";
import { Address } from "../../src/ip/address.ts";
import { createRandom } from "../../src/lib/clock.ts";
import type { Hook } from "../../src/middleware/hook.ts";
import { TrackerLogic } from "../../src/middleware/logic.ts";
import type { Connection } from "../../src/net/stream.ts";
import { Metrics } from "../../src/observability/metrics.ts";
import { Directory } from "../../src/private/directory.ts";
import { refusalsOf } from "../../src/private/errors.ts";
import { createPrivateHook } from "../../src/private/private-hook.ts";
import { createAccountingMemory, Ring } from "../../src/private/ring.ts";
import { MemoryStore } from "../../src/storage/memory/memory-store.ts";
import { httpOptions } from "../../test/fixtures/http-server.ts";
import { reporterOf } from "../../test/support/observed.ts";
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

/** The hooks, and the store, of a tracker with and without `private`. */
async function openLogic(isPrivate: boolean): Promise<{ logic: TrackerLogic; ring?: Ring }> {
  const random = createRandom(1);
  const config = { gcInterval: 180, peerLifetime: 1860, maxPeers: 3_000_000, peerIds: false };
  const store = new MemoryStore({ config, clock, random });
  const site = isPrivate ? await openPrivate() : undefined;
  const settings = { interval: 1800, minInterval: 900, preHooks: site ? [site.hook] : [], postHooks: [] };
  const report = (where: string, error: unknown) => {
    throw new Error(`${where} failed`, { cause: error });
  };
  return { logic: new TrackerLogic(store, settings, report), ...(site && { ring: site.ring }) };
}

/** Does what the accountant does after it has written the records. */
function release(ring: Ring | undefined, count: number): void {
  if (ring === undefined) return;
  if (ring.waiting !== count) throw new Error("an announce was refused");
  ring.release(count);
}

async function openUdp(isPrivate: boolean): Promise<MicroCase> {
  const random = createRandom(1);
  const { logic, ring } = await openLogic(isPrivate);
  const udp = await UdpInProcess.start(slots, logic, clock);
  const path = "/announce/";
  udp.connectAndAnnounce(isPrivate ? path + passkeyOf(1) : "/announce");
  const { view, bytes } = udp.batch;
  const passkeyAt = 100 + path.length;
  const call = () => {
    for (let slot = 0; slot < slots; slot++) {
      const at = udp.batch.inAt(slot);
      view.setUint32(at + 16, random.next() % torrents);
      const user = random.next() % users;
      if (isPrivate) writeDigits(bytes, at + passkeyAt + 26, 6, 10, user);
    }
    udp.handle(slots);
    release(ring, slots);
  };
  return { call, operations: slots };
}

async function openHttp(isPrivate: boolean): Promise<MicroCase> {
  const random = createRandom(1);
  const { logic, ring } = await openLogic(isPrivate);
  let sent = 0;
  const connection: Connection = {
    ...{ remote: Address.parse("192.0.2.1"), remotePort: 40_000, pending: 0 },
    write: (_, start, end) => {
      sent += end - start;
    },
    ...{ pause() {}, resume() {}, end() {}, destroy() {} },
  };
  let receive: ((bytes: Uint8Array) => void) | undefined;
  const frontend = new HttpFrontend(
    { ...httpOptions, listen: [{ host: "127.0.0.1", port: 1 }] },
    {
      ...{ logic, clock, metrics: new Metrics(), requests: reporterOf(http, new Metrics()) },
      onError: (error) => {
        throw error;
      },
      listen: ({ handler }) => {
        const state = handler.opened(connection);
        receive = (bytes) => handler.received(state, bytes, 0, bytes.length);
        return Promise.resolve({ port: 1, prepareTls: () => () => undefined, close: async () => undefined });
      },
    },
  );
  await frontend.start();
  const head = `GET /announce${isPrivate ? `/${passkeyOf(1)}` : ""}?info_hash=`;
  const rest = `&peer_id=-qB4520-cPPJTX1~r-xr&port=6881&uploaded=0&downloaded=0&left=3000000&corrupt=0&key=255BF2EA&numwant=30&compact=1&no_peer_id=1&supportcrypto=1&redundant=0 HTTP/1.1\r\nHost: 127.0.0.1:6969\r\nUser-Agent: qBittorrent/4.5.2\r\nAccept-Encoding: gzip\r\n\r\n`;
  const bytes = Buffer.from(`${head}${"%00".repeat(4)}${"%07".repeat(16)}${rest}`, "latin1");
  const passkeyEnd = head.indexOf("?");
  const call = () => {
    for (let i = 0; i < slots; i++) {
      const torrent = random.next() % torrents;
      for (let byte = 0; byte < 4; byte++)
        writeDigits(bytes, head.length + 3 * byte + 1, 2, 16, (torrent >>> (24 - 8 * byte)) & 255);
      const user = random.next() % users;
      if (isPrivate) writeDigits(bytes, passkeyEnd - 6, 6, 10, user);
      receive!(bytes);
    }
    if (sent === 0) throw new Error("no responses");
    release(ring, slots);
  };
  return { call, operations: slots };
}

/** Writes a number in ASCII with leading zeros. */
function writeDigits(bytes: Uint8Array, at: number, count: number, base: 10 | 16, number: number): void {
  let rest = number;
  for (let i = at + count - 1; i >= at; i--) {
    const digit = rest % base;
    bytes[i] = digit + (digit < 10 ? 0x30 : 0x57);
    rest = (rest / base) | 0;
  }
}

function passkeyOf(id: number): string {
  return `${id % users}`.padStart(32, "0");
}

/** What the hook of a private tracker adds to an announce. */
export const privateHook: Micro = {
  title: "Announce with and without `private`: 100,000 users, 1,000,000 torrents, without sockets",
  cases: async () => ({
    "UDP, without private": await openUdp(false),
    "UDP, with private": await openUdp(true),
    "HTTP, without private": await openHttp(false),
    "HTTP, with private": await openHttp(true),
  }),
};
