import { AnnounceRequest, AnnounceResponse } from "../../src/bittorrent/announce.ts";
import { PeerList } from "../../src/bittorrent/peer-list.ts";
import { createJwt } from "../../src/hooks/jwt/jwt.ts";
import { createRandom } from "../../src/lib/clock.ts";
import type { HookDeps } from "../../src/middleware/define-hook.ts";
import { type Hook, RequestContext } from "../../src/middleware/hook.ts";
import { TrackerLogic } from "../../src/middleware/logic.ts";
import { silentLogger } from "../../src/observability/logger.ts";
import { Metrics } from "../../src/observability/metrics.ts";
import type { PeerStore } from "../../src/storage/peer-store.ts";
import { createSharedState, LocalHub } from "../../src/tracker/share-hub.ts";
import { createIssuerKey, signToken } from "../../test/support/jwt-issuer.ts";
import type { Micro } from "./micro.ts";

const infohash = "0123456789abcdef0123456789abcdef01234567";
const query =
  "&info_hash=%01%23Eg%89%AB%CD%EF%01%23Eg%89%AB%CD%EF%01%23Eg&peer_id=-TR4060-6wfG2wk6wWLc&port=51413" +
  "&uploaded=0&downloaded=0&left=0&numwant=80&key=71ae5ab2&compact=1&supportcrypto=1&event=started";
const knownTokens = 10_000;

const clock = { seconds: 1, unixSeconds: 1_700_000_000 };
const random = createRandom(1);
const response = new AnnounceResponse(new PeerList(4, new Uint8Array(0)), new PeerList(6, new Uint8Array(0)));
const context = new RequestContext();

async function startHook(algorithm: "RS256" | "EdDSA") {
  const key = await createIssuerKey("1", algorithm);
  const shared = createSharedState(new LocalHub({ clock, random }), "jwt", { clock, random, owner: 1 });
  const deps = { clock, random, logger: silentLogger, metrics: new Metrics(), shared } as unknown as HookDeps;
  const options = {
    issuer: "registry",
    audience: "https://tracker.example.com/announce",
    jwkSetUrl: "https://registry.example.com/keys",
    jwkSetUpdateInterval: 300,
    jwkSetMaxAge: 86_400,
    algorithms: [algorithm],
    leeway: 30,
    parameters: ["jwt"],
    cacheSize: 65_536,
  } as const;
  const hook = createJwt(options, deps, { fetch: async () => Response.json({ keys: [key.jwk] }) });
  await hook.start?.();
  const sign = (jti: number) =>
    signToken(key, { iss: options.issuer, aud: options.audience, infohash, jti: `${jti}` });
  return { hook, sign };
}

/** An announce that is parsed again for each call, as in a frontend. */
class Announce {
  readonly request: AnnounceRequest = new AnnounceRequest();
  readonly #bytes: Buffer;
  readonly #pathEnd: number;

  constructor(target: string) {
    this.request.infoHash.set(Buffer.from(infohash, "hex"));
    this.#bytes = Buffer.from(target, "latin1");
    this.#pathEnd = target.indexOf("?");
  }

  read(): AnnounceRequest {
    this.request.params.set(this.#bytes, 0, this.#pathEnd, this.#bytes.length);
    return this.request;
  }

  through(...preHooks: Hook[]): () => unknown {
    const store = { announce: () => undefined } as unknown as PeerStore;
    const report = (where: string, error: unknown) => {
      throw new Error(`${where} failed`, { cause: error });
    };
    const settings = { interval: 1800, minInterval: 900, preHooks, postHooks: [] };
    const logic = new TrackerLogic(store, settings, report);
    return () => logic.handleAnnounce(this.read(), response, context);
  }
}

const rsa = await startHook("RS256");
let known = new Announce("/announce?");
for (let i = 0; i < knownTokens; i++) {
  known = new Announce(`/announce?jwt=${await rsa.sign(i)}${query}`);
  await known.through(rsa.hook)();
}
const ed = await startHook("EdDSA");
const short = new Announce(`/announce?jwt=${await ed.sign(1)}`);
await short.through(ed.hook)();

/** The prehook `jwt` with a known token, compared with the chain without the hook. */
export const jwt: Micro = {
  title: "The hook jwt, without a store",
  cases: () => ({
    "no hook": known.through(),
    "finding the token in a query": () => known.read().params.get("jwt"),
    "a known token of RS256 in a query, one of 10,000": known.through(rsa.hook),
    "a known token of EdDSA, over UDP": short.through(ed.hook),
  }),
};
