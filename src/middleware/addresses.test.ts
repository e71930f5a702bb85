import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { MapStore } from "../../test/support/map-store.ts";
import { announceRequest } from "../../test/support/requests.ts";
import { type AnnounceRequest, AnnounceResponse } from "../bittorrent/announce.ts";
import { ExternalIp } from "../bittorrent/external-ip.ts";
import { PeerList } from "../bittorrent/peer-list.ts";
import { Address, type Family, formatIPv4, formatIPv6 } from "../ip/address.ts";
import { createRandom } from "../lib/clock.ts";
import type { Step } from "../storage/peer-store.ts";
import { type Hook, RequestContext } from "./hook.ts";
import { type LogicSettings, TrackerLogic } from "./logic.ts";

const infoHash = "0123456789abcdef0123456789abcdef01234567";

/** A logic over the plain store, which responds synchronously or asynchronously. */
class Bench {
  readonly store: MapStore;
  readonly logic: TrackerLogic;

  constructor(isLater: boolean, settings: Partial<LogicSettings> = {}) {
    const clock = { seconds: 1000, unixSeconds: 1_700_000_000 };
    const given = { clock, random: createRandom(1), peerLifetime: 1800 };
    this.store = isLater ? new LaterStore(given) : new MapStore(given);
    const report = (_: string, error: unknown) => {
      throw error;
    };
    const defaults = { interval: 1800, minInterval: 900, preHooks: [], postHooks: [] };
    this.logic = new TrackerLogic(this.store, { ...defaults, ...settings }, report);
  }

  async announce(address: string, port: number, other?: string, changes: Partial<AnnounceRequest> = {}) {
    const request = announceRequest(infoHash, "-TR4060-6wfG2wk6wWLc");
    request.address.copyFrom(Address.parse(address));
    request.port = port;
    request.numWant = 50;
    request.left = 1n;
    if (other !== undefined) {
      request.otherAddress.copyFrom(Address.parse(other));
      request.hasOtherAddress = true;
    }
    Object.assign(request, changes);
    const response = new AnnounceResponse(list(4), list(6));
    assert.equal(await this.logic.handleAnnounce(request, response, new RequestContext()), undefined);
    const { complete, incomplete, peers4, peers6 } = response;
    return { complete, incomplete, peers: [...names(peers4), ...names(peers6)], request };
  }

  stored(): string[] {
    const peers = this.store.torrents.get(infoHash)?.peers;
    return [...(peers?.[4].keys() ?? []), ...(peers?.[6].keys() ?? [])];
  }
}

class LaterStore extends MapStore {
  override async announce(request: AnnounceRequest, response: AnnounceResponse, step: Step): Promise<void> {
    await Promise.resolve();
    await super.announce(request, response, step);
  }
}

function list(family: Family): PeerList {
  const made = new PeerList(family, new Uint8Array(2000));
  made.limit = 50;
  return made;
}

function names({ family, bytes, view, count }: PeerList): string[] {
  const length = family === 4 ? 6 : 18;
  return Array.from({ length: count }, (_, i) => {
    const text = family === 4 ? formatIPv4(bytes, i * length) : formatIPv6(bytes, i * length);
    return `${text}:${view.getUint16((i + 1) * length - 2)}`;
  });
}

for (const isLater of [false, true]) {
  describe(`a store that responds ${isLater ? "asynchronously" : "synchronously"}`, () => {
    test("a peer with addresses of both families is in both swarms, and is not listed to itself", async () => {
      const bench = new Bench(isLater);
      await bench.announce("192.0.2.9", 9);
      await bench.announce("2001:db8::8", 8);
      for (let time = 0; time < 2; time++) {
        const { complete, incomplete, peers, request } = await bench.announce("192.0.2.1", 1, "2001:db8::1");
        assert.deepEqual([complete, incomplete], [0, 4]);
        assert.deepEqual(peers.sort(), ["192.0.2.9:9", "2001:db8::8:8"]);
        assert.equal(`${request.address} ${request.otherAddress}`, "192.0.2.1 2001:db8::1");
      }
      const others = await bench.announce("2001:db8::8", 8);
      assert.deepEqual(others.peers.sort(), ["192.0.2.1:1", "192.0.2.9:9", "2001:db8::1:1"]);
      await bench.announce("2001:db8::1", 1, "192.0.2.1", { event: 1, left: 0n });
      assert.equal(bench.store.torrents.get(infoHash)!.snatches, 2, "each of both completes");
      const parting = await bench.announce("192.0.2.1", 1, "2001:db8::1", { event: 3 });
      assert.deepEqual([parting.complete, parting.incomplete], [0, 2]);
      assert.deepEqual(bench.stored(), ["192.0.2.9:9", "2001:db8::8:8"]);
    });

    test("a prehook can leave the other address out", async () => {
      const hook: Hook = {
        name: "one address",
        handleAnnounce: (request) => {
          request.hasOtherAddress = false;
        },
      };
      const bench = new Bench(isLater, { preHooks: [hook] });
      await bench.announce("192.0.2.1", 1, "2001:db8::1");
      assert.deepEqual(bench.stored(), ["192.0.2.1:1"]);
    });

    test("without the swarm step neither address is stored", async () => {
      const hook: Hook = {
        name: "look only",
        handleAnnounce: (_, __, context) => {
          context.skipSwarm = true;
        },
      };
      const bench = new Bench(isLater, { preHooks: [hook] });
      await bench.announce("192.0.2.1", 1, "2001:db8::1");
      assert.deepEqual(bench.stored(), []);
    });

    test("peers of the tracker's own network are stored under the external address of their family", async () => {
      const seen: string[] = [];
      const look = {
        name: "look",
        handleAnnounce: ({ address }: AnnounceRequest) => void seen.push(`${address}`),
      };
      const externalIp = new ExternalIp({ ipv4: "203.0.113.5" });
      const bench = new Bench(isLater, { externalIp, preHooks: [look] });
      for (const [n, from] of [
        "127.0.0.1",
        "10.1.2.3",
        "172.31.0.1",
        "192.168.1.1",
        "169.254.1.1",
      ].entries()) {
        await bench.announce(from, n + 1);
      }
      for (const from of ["8.8.8.8", "172.32.0.1", "100.64.0.1", "::1"]) await bench.announce(from, 9);
      assert.deepEqual(seen.slice(0, 2), ["127.0.0.1", "10.1.2.3"], "prehooks see where the peer is");
      assert.deepEqual(bench.stored(), [
        ...[1, 2, 3, 4, 5].map((port) => `203.0.113.5:${port}`),
        "8.8.8.8:9",
        "172.32.0.1:9",
        "100.64.0.1:9",
        "::1:9",
      ]);
      await bench.announce("127.0.0.1", 1, undefined, { event: 3 });
      assert.equal(bench.stored()[0], "203.0.113.5:2", "and removed under it");
    });

    test("both addresses of a peer are replaced, in the networks that are given", async () => {
      const externalIp = new ExternalIp({
        ipv4: "203.0.113.5",
        ipv6: "2001:db8:5::5",
        networks: ["192.0.2.0/24", "fd00::/8"],
      });
      const bench = new Bench(isLater, { externalIp });
      await bench.announce("192.0.2.1", 1, "fd00::1");
      await bench.announce("127.0.0.1", 2, "::1");
      assert.deepEqual(bench.stored(), ["203.0.113.5:1", "127.0.0.1:2", "2001:db8:5::5:1", "::1:2"]);
    });
  });
}

test("external addresses must be of their family, and such that peers can be reached", () => {
  for (const options of [
    { ipv4: "::1" },
    { ipv6: "192.0.2.1" },
    { ipv4: "0.0.0.0" },
    { ipv4: "x" },
    { ipv6: "ff02::1" },
  ]) {
    assert.throws(() => new ExternalIp(options), RangeError, JSON.stringify(options));
  }
});
