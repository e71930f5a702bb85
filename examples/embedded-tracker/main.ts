/**
 * A tracker inside a program of your own: only members may use it, and the program sees who announces.
 *
 * Usage: node examples/embedded-tracker/main.ts
 */
import {
  ClientError,
  ContextKey,
  createRandom,
  type Hook,
  MemoryStore,
  Metrics,
  type Params,
  type RequestContext,
  SystemClock,
  silentLogger,
  Tracker,
} from "../../src/index.ts";

const unknownPasskey = new ClientError("unknown passkey");
const member = new ContextKey<string>("member");

/**
 * Creates a prehook that refuses whoever has no known `passkey` in the announce URL, over HTTP and over UDP (BEP 41).
 * @param members  names by passkey
 */
function createPasskeys(members: ReadonlyMap<string, string>): Hook {
  const identify = (params: Params, context: RequestContext) => {
    const name = members.get(params.get("passkey") ?? "");
    if (name === undefined) return unknownPasskey;
    context.set(member, name);
    return undefined;
  };
  return {
    name: "passkeys",
    handleAnnounce: (request, _response, context) => identify(request.params, context),
    handleScrape: (request, _response, context) => identify(request.params, context),
  };
}

/** Creates a posthook that counts the announces of each member. */
function createActivity(announces: Map<string, number>): Hook {
  return {
    name: "activity",
    handleAnnounce(_request, _response, context) {
      const name = context.get(member);
      if (name !== undefined) announces.set(name, (announces.get(name) ?? 0) + 1);
    },
  };
}

/**
 * Starts the tracker on 127.0.0.1.
 * @param port       0 lets the system choose
 * @param announces  where the announces of each member are counted
 */
export async function startTracker(
  port: number,
  members: ReadonlyMap<string, string>,
  announces: Map<string, number>,
): Promise<{ urls: string[]; stop: () => Promise<void> }> {
  const clock = new SystemClock();
  const store = new MemoryStore({
    config: { gcInterval: 180, peerLifetime: 1860, maxPeers: 100_000, peerIds: false },
    clock,
    random: createRandom(Date.now()),
  });
  const listen = [{ host: "127.0.0.1", port }];
  const limits = { maxNumWant: 100, defaultNumWant: 50, maxScrapeInfoHashes: 50 };
  const tracker = new Tracker(
    {
      interval: 1800,
      minInterval: 900,
      preHooks: [createPasskeys(members)],
      postHooks: [createActivity(announces)],
      http: {
        listen,
        listenTls: [],
        tls: undefined,
        readTimeout: 5,
        writeTimeout: 5,
        idleTimeout: 30,
        keepAlive: true,
        requestTiming: false,
        announceRoutes: ["/announce"],
        scrapeRoutes: ["/scrape"],
        allowIpSpoofing: false,
        realIpHeader: "",
        trustedProxies: [],
        proxyProtocol: false,
        maxConnections: 1024,
        maxHeaderBytes: 16_384,
        ...limits,
      },
      udp: {
        listen,
        privateKey: "",
        maxClockSkew: 10,
        requestTiming: false,
        allowIpSpoofing: false,
        ...limits,
      },
    },
    { store, clock, metrics: new Metrics(), logger: silentLogger },
  );
  clock.start();
  await tracker.start();
  return {
    urls: tracker.urls(),
    async stop() {
      await tracker.stop(AbortSignal.timeout(10_000));
      clock.stop();
    },
  };
}

if (import.meta.main) {
  const announces = new Map<string, number>();
  const members = new Map([["7d1f40c2", "alice"]]);
  const { urls, stop } = await startTracker(6969, members, announces);
  for (const url of urls) console.log(`${url}/announce?passkey=7d1f40c2`);
  process.once("SIGINT", async () => {
    await stop();
    console.log(announces);
  });
}
