import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { type JWTPayload, SignJWT } from "jose";
import {
  createIssuerKey,
  type IssuerKey,
  signToken,
  tamperedToken,
  unsignedToken,
} from "../../../test/support/jwt-issuer.ts";
import { announceRequest, announceResponse } from "../../../test/support/requests.ts";
import { overloadedError } from "../../bittorrent/client-error.ts";
import { createRandom } from "../../lib/clock.ts";
import type { HookDeps } from "../../middleware/define-hook.ts";
import { type Hook, RequestContext } from "../../middleware/hook.ts";
import { silentLogger } from "../../observability/logger.ts";
import { Metrics } from "../../observability/metrics.ts";
import { createSharedState, LocalHub, type ShareHub } from "../../tracker/share-hub.ts";
import { invalidJwt, missingJwt, unverifiableJwt } from "./errors.ts";
import { createJwt } from "./jwt.ts";
import type { JwtOptions } from "./options.ts";
import { fetchKeySet, maxKeySetLength, parseKeySet } from "./read-key-set.ts";

const infoHash = "0123456789abcdef0123456789abcdef01234567";
const otherInfoHash = "fedcba9876543210fedcba9876543210fedcba98";
const claims: JWTPayload = { iss: "quay", aud: "https://tracker/announce", infohash: infoHash };
const now = 1_700_000_000;

const rsa = await createIssuerKey("one");
const nextRsa = await createIssuerKey("two");
const ec = await createIssuerKey("ec", "ES256");
const ed = await createIssuerKey("ed", "EdDSA");

/** An issuer that serves its keys, as long as it is up. */
class Issuer {
  keys: object[] = [rsa.jwk, ec.jwk, ed.jwk];
  /** The response in the place of the keys. */
  answer: (() => Response | Promise<Response>) | undefined;
  fetches = 0;

  readonly fetch = async (): Promise<Response> => {
    this.fetches++;
    return this.answer === undefined ? Response.json({ keys: this.keys }) : this.answer();
  };
}

interface Setup {
  options?: Partial<JwtOptions>;
  issuer?: Issuer;
  workers?: number;
  /** Of a tracker that is reloaded. */
  hub?: LocalHub;
}

/** Hooks of as many workers, started, over one issuer. */
async function start(t: TestContext, setup: Setup = {}) {
  const { issuer = new Issuer(), workers = 1 } = setup;
  const options: JwtOptions = {
    issuer: "quay",
    audience: "https://tracker/announce",
    jwkSetUrl: "https://registry/keys",
    jwkSetUpdateInterval: 300,
    jwkSetMaxAge: 86_400,
    algorithms: ["RS256"],
    leeway: 30,
    parameters: ["jwt"],
    cacheSize: 100,
    ...setup.options,
  };
  const clock = { seconds: 1000, unixSeconds: now };
  const random = createRandom(1);
  const first = setup.hub ?? new LocalHub({ clock, random });
  const other: ShareHub = {
    isFirst: false,
    reload: (work) => work(),
    buffer: (...args) => first.buffer(...args),
    memory: (...args) => first.memory(...args),
    publish: (...args) => first.publish(...args),
    subscribe: (...args) => first.subscribe(...args),
  };
  const logged: string[] = [];
  const reasons: (string | undefined)[] = [];
  const sources: (string | undefined)[] = [];
  const log = (fields: object, message: string) => {
    logged.push(message);
    const { reason, source } = fields as { reason?: string; source?: string };
    reasons.push(reason);
    sources.push(source);
  };
  const logger = { ...silentLogger, info: log, warn: log, error: log };
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const create = (i: number, metrics: Metrics) => {
    const shared = createSharedState(i === 0 ? first : other, "jwt", { clock, random, owner: i + 1 });
    const deps = { clock, random, logger, metrics, shared } as unknown as HookDeps;
    return { hook: createJwt(options, deps, issuer), metrics };
  };
  const made = Array.from({ length: workers }, (_, i) => create(i, new Metrics()));
  t.after(() => {
    for (const { hook } of made) hook.stop?.();
  });
  await Promise.all(made.map(({ hook }) => hook.start?.()));
  const [{ hook, metrics }] = made as [(typeof made)[0]];
  const hooks = made.map(({ hook }) => hook);
  const createAlike = () => create(0, metrics);
  const pass = (seconds: number) => {
    clock.seconds += seconds;
    clock.unixSeconds += seconds;
  };
  return { hook, hooks, metrics, issuer, clock, logged, reasons, sources, pass, createAlike };
}

function request(token: string | undefined, wanted = infoHash, parameter = "jwt") {
  const announce = announceRequest(wanted, "-QUAY00-6wfG2wk6wWLc");
  const target = Buffer.from(
    `/announce?port=80${token === undefined ? "" : `&${parameter}=${token}`}&left=0`,
  );
  announce.params.set(target, 0, target.indexOf("?"), target.length);
  return announce;
}

function announce(hook: Hook, token: string | undefined, wanted = infoHash, parameter = "jwt") {
  return hook.handleAnnounce!(request(token, wanted, parameter), announceResponse(), new RequestContext());
}

/** What the metric of that name has counted, by its label or in total. */
function counted(metrics: Metrics, name: string, label = ""): number {
  const family = metrics.snapshot().find((family) => family.name === name);
  const series = family?.series.filter(({ labels }) => label === "" || Object.values(labels).includes(label));
  return (series ?? []).reduce((sum, { values }) => sum + values[0]!, 0);
}

const verifications = (metrics: Metrics, result = "") =>
  counted(metrics, "chihaya_jwt_verifications_total", result);

async function until(isIt: () => boolean): Promise<void> {
  while (!isIt()) await setImmediate();
}

describe("what tokens allow", () => {
  const sign = (changes: Record<string, unknown>, key: IssuerKey = rsa) =>
    signToken(key, { ...claims, ...changes });
  const valid = "valid";
  const table: [what: string, token: () => string | Promise<string>, result: string][] = [
    ["a token that does not expire, as Quay's", () => sign({}), valid],
    ["one that will expire", () => sign({ exp: now + 60 }), valid],
    ["one that has, within the leeway", () => sign({ exp: now - 29 }), valid],
    ["one that has", () => sign({ exp: now - 30 }), "expired"],
    ["one that will be valid, within the leeway", () => sign({ nbf: now + 30 }), valid],
    ["one that will be valid", () => sign({ nbf: now + 31 }), "claims"],
    ["one for several audiences", () => sign({ aud: ["x", claims.aud as string] }), valid],
    ["one for others", () => sign({ aud: ["x"] }), "claims"],
    ["one for nobody", () => sign({ aud: undefined }), "claims"],
    ["one of another issuer", () => sign({ iss: "another" }), "claims"],
    ["one of nobody", () => sign({ iss: undefined }), "claims"],
    ["an infohash in capitals", () => sign({ infohash: infoHash.toUpperCase() }), valid],
    ["no infohash", () => sign({ infohash: undefined }), "claims"],
    ["an infohash of 19 bytes", () => sign({ infohash: infoHash.slice(1) }), "claims"],
    ["a number as infohash", () => sign({ infohash: 7 }), "claims"],
    ["a text as expiry", () => sign({ exp: "never" }), "claims"],
    ["another payload", async () => tamperedToken(await sign({}), { ...claims, admin: true }), "signature"],
    ["another signature", async () => `${(await sign({})).slice(0, -8)}AAAAAAAA`, "signature"],
    ["the signature of another key", () => sign({}, { ...nextRsa, kid: "one" }), "signature"],
    ["alg none", () => unsignedToken({ alg: "none", kid: "one" }, claims), "malformed"],
    [
      "alg none, with a signature",
      () => `${unsignedToken({ alg: "none", kid: "one" }, claims)}AAAA`,
      "algorithm",
    ],
    [
      "an HMAC by the public key",
      () =>
        new SignJWT(claims)
          .setProtectedHeader({ alg: "HS256", kid: "one" })
          .sign(Buffer.from(JSON.stringify(rsa.jwk))),
      "algorithm",
    ],
    ["an algorithm that is not allowed", () => sign({}, ec), "algorithm"],
    ["RS256 by a key for others", () => sign({}, { ...rsa, kid: "ec" }), "unknown_key"],
    ["a key that is not known", () => sign({}, nextRsa), "unknown_key"],
    [
      "no key named",
      () => new SignJWT(claims).setProtectedHeader({ alg: "RS256" }).sign(rsa.privateKey),
      "unknown_key",
    ],
    [
      "what must be understood and is not",
      () =>
        new SignJWT(claims)
          .setProtectedHeader({ alg: "RS256", kid: "one", crit: ["x"], x: 1 })
          .sign(rsa.privateKey, { crit: { x: true } }),
      "malformed",
    ],
    ["a token that is too long", () => sign({ x: "x".repeat(4000) }), "malformed"],
    ["no token at all", () => "x", "malformed"],
    ["three parts of nothing", () => "YQ.YQ.YQ", "malformed"],
  ];
  for (const [what, make, result] of table) {
    test(what, async (t) => {
      const { hook, metrics } = await start(t);
      const token = await make();
      const expected = result === valid ? undefined : invalidJwt;
      assert.equal(await announce(hook, token), expected);
      assert.deepEqual([verifications(metrics, result), verifications(metrics)], [1, 1]);
      assert.equal(await announce(hook, token, otherInfoHash), invalidJwt);
    });
  }

  test("texts are Chihaya's", async (t) => {
    const { hook } = await start(t);
    for (const nothing of [undefined, ""]) assert.equal(announce(hook, nothing), missingJwt);
    assert.equal(missingJwt.message, "unapproved request: missing jwt");
    assert.equal(invalidJwt.message, "unapproved request: invalid jwt");
  });

  test("other algorithms where they are allowed", async (t) => {
    const { hook } = await start(t, { options: { algorithms: ["ES256", "EdDSA"] } });
    assert.equal(await announce(hook, await sign({}, ec)), undefined);
    assert.equal(await announce(hook, await sign({}, ed)), undefined);
    assert.equal(await announce(hook, await sign({})), invalidJwt);
  });

  test("a token is found in the query, in the route, and by other names", async (t) => {
    const { hook } = await start(t, { options: { parameters: ["Token", "jwt"] } });
    const token = await sign({});
    assert.equal(await announce(hook, token, infoHash, "JWT"), undefined);
    assert.equal(await announce(hook, token, infoHash, "token"), undefined);
    assert.equal(announce(hook, token, infoHash, "other"), missingJwt);
    const routed = request(undefined);
    for (const name of ["jwt", "Token"]) {
      routed.params.setRoute(new Map([[name, token]]));
      assert.equal(hook.handleAnnounce!(routed, announceResponse(), new RequestContext()), undefined);
    }
  });

  test("scrapes are not looked at", async (t) => {
    const { hook } = await start(t);
    assert.equal(hook.handleScrape, undefined);
  });
});

describe("tokens that are known", () => {
  test("are decided at once, for their infohash", async (t) => {
    const { hook, metrics } = await start(t);
    const token = await signToken(rsa, claims);
    const refusals = [announce(hook, token), announce(hook, token, otherInfoHash), announce(hook, token)];
    assert.ok(refusals.every((refusal) => refusal instanceof Promise));
    assert.deepEqual(await Promise.all(refusals), [undefined, invalidJwt, undefined]);
    const known = () => counted(metrics, "chihaya_jwt_known_tokens_total");
    // Verified once for all. The one for another torrent is not valid for it.
    assert.deepEqual([verifications(metrics, "valid"), verifications(metrics, "claims"), known()], [1, 1, 1]);
    assert.deepEqual([announce(hook, token), announce(hook, token, otherInfoHash)], [undefined, invalidJwt]);
    assert.deepEqual([verifications(metrics, "valid"), verifications(metrics, "claims"), known()], [1, 2, 2]);
  });

  test("a token for another torrent is not counted as valid", async (t) => {
    const { hook, metrics } = await start(t);
    assert.equal(await announce(hook, await signToken(rsa, claims), otherInfoHash), invalidJwt);
    assert.deepEqual([verifications(metrics, "valid"), verifications(metrics, "claims")], [0, 1]);
  });

  test("until they expire", async (t) => {
    const { hook, metrics, clock } = await start(t);
    const token = await signToken(rsa, { ...claims, exp: now + 60 });
    assert.equal(await announce(hook, token), undefined);
    clock.unixSeconds = now + 89;
    assert.equal(announce(hook, token), undefined);
    clock.unixSeconds = now + 90;
    assert.equal(await announce(hook, token), invalidJwt);
    assert.equal(verifications(metrics, "expired"), 1);
  });

  test("refusals only for a moment", async (t) => {
    const { hook, metrics, pass } = await start(t);
    const token = await signToken(rsa, { ...claims, nbf: now + 33 });
    assert.equal(await announce(hook, token), invalidJwt);
    pass(4);
    assert.equal(announce(hook, token), invalidJwt);
    assert.equal(verifications(metrics), 1);
    pass(1);
    assert.equal(await announce(hook, token), undefined);
  });

  test("no more are verified at once than a bound", async (t) => {
    const { hook, metrics } = await start(t);
    const token = await signToken(rsa, claims);
    const variant = (i: number) => tamperedToken(token, { ...claims, i });
    const refusals = Array.from({ length: 1024 }, (_, i) => announce(hook, variant(i)));
    assert.equal(announce(hook, variant(1024)), overloadedError);
    assert.equal(verifications(metrics, "overloaded"), 1);
    for (const refusal of await Promise.all(refusals)) assert.equal(refusal, invalidJwt);
    assert.equal(await announce(hook, token), undefined);
  });
});

describe("the issuer's keys", () => {
  const interval = 300_000;

  test("are fetched again on schedule, for all workers by the first", async (t) => {
    const { hooks, issuer, pass, logged } = await start(t, { workers: 3 });
    assert.equal(issuer.fetches, 1);
    issuer.keys = [rsa.jwk, nextRsa.jwk];
    pass(300);
    t.mock.timers.tick(interval);
    await until(() => issuer.fetches === 2);
    for (const hook of hooks) {
      assert.equal(hook.ready!(), true);
      for (const key of [rsa, nextRsa])
        assert.equal(await announce(hook, await signToken(key, claims)), undefined);
    }
    assert.deepEqual([issuer.fetches, logged], [2, []]);
  });

  test("a key that is not known is looked for, in any worker", async (t) => {
    const { hooks, issuer } = await start(t, { workers: 3 });
    issuer.keys = [nextRsa.jwk];
    const token = await signToken(nextRsa, claims);
    assert.equal(await announce(hooks[2]!, token), undefined);
    assert.equal(await announce(hooks[0]!, token), undefined);
    assert.equal(await announce(hooks[1]!, token), undefined);
    assert.equal(issuer.fetches, 2);
  });

  test("tokens of a key are invalid when the key is withdrawn", async (t) => {
    const { hook, issuer, metrics } = await start(t);
    const old = await signToken(rsa, claims);
    assert.equal(await announce(hook, old), undefined);
    issuer.keys = [nextRsa.jwk];
    assert.equal(await announce(hook, await signToken(nextRsa, claims)), undefined);
    assert.equal(await announce(hook, old), invalidJwt);
    assert.equal(verifications(metrics, "unknown_key"), 1);
  });

  test("what a key has signed stays known when others come and go", async (t) => {
    const { hook, issuer } = await start(t);
    const old = await signToken(rsa, claims);
    assert.equal(await announce(hook, old), undefined);
    issuer.keys = [rsa.jwk, nextRsa.jwk];
    assert.equal(await announce(hook, await signToken(nextRsa, claims)), undefined);
    assert.equal(announce(hook, old), undefined);
  });

  test("tokens of made-up keys make no storm", async (t) => {
    const { hooks, issuer, pass, metrics } = await start(t, { workers: 2 });
    let number = 0;
    const storm = async () => {
      const refusals: unknown[] = [];
      for (let i = 0; i < 200; i++) {
        const token = `${unsignedToken({ alg: "RS256", kid: `made up ${number++}` }, claims)}AAAA`;
        refusals.push(announce(hooks[i % 2]!, token));
      }
      const answers = new Set(await Promise.all(refusals));
      assert.ok([...answers].every((answer) => answer === invalidJwt || answer === overloadedError));
    };
    for (let i = 0; i < 5; i++) await storm();
    assert.equal(issuer.fetches, 2, "one at the start, one for all of these");
    pass(10);
    for (let i = 0; i < 5; i++) await storm();
    assert.equal(issuer.fetches, 3);
    assert.ok(verifications(metrics, "overloaded") > 0, "few wait for a key");
    assert.equal(await announce(hooks[1]!, await signToken(rsa, claims)), undefined);
  });

  test("a hook that has been stopped shows no age", async (t) => {
    const { hook, metrics, pass, createAlike } = await start(t);
    pass(7);
    assert.equal(counted(metrics, "chihaya_jwt_key_age_seconds"), 7);
    createAlike();
    assert.equal(counted(metrics, "chihaya_jwt_key_age_seconds"), 7, "nor does one that was not started");
    hook.stop!();
    const shown = metrics.snapshot().find(({ name }) => name === "chihaya_jwt_key_age_seconds");
    assert.deepEqual(shown?.series, []);
  });

  test("an issuer that is down changes nothing, for a time", async (t) => {
    const { hook, issuer, pass, logged, reasons, metrics } = await start(t, {
      options: { jwkSetMaxAge: 3600 },
    });
    const token = await signToken(rsa, { ...claims, exp: now + 86_400 });
    assert.equal(await announce(hook, token), undefined);
    issuer.answer = () => Promise.reject(new TypeError("fetch failed", { cause: new Error("no route") }));
    pass(300);
    t.mock.timers.tick(interval);
    for (let fetches = 2; fetches < 20; fetches++) {
      await until(() => counted(metrics, "chihaya_jwt_key_fetches_total") === fetches);
      t.mock.timers.tick(29_999);
      assert.equal(issuer.fetches, fetches, "not before 30 seconds have passed");
      t.mock.timers.tick(1);
    }
    assert.deepEqual(logged, ["failed to fetch the issuer's keys; the previous keys stay in use for a time"]);
    assert.deepEqual(reasons, ["fetch failed: no route"]);
    assert.equal(announce(hook, token), undefined, "a known token");
    const fresh = await signToken(rsa, { ...claims, jti: "fresh" });
    assert.equal(await announce(hook, fresh), undefined, "a new one");
    assert.equal(await announce(hook, await signToken(nextRsa, claims)), invalidJwt, "one of an unknown key");
    pass(3299);
    assert.equal(announce(hook, token), undefined);
    assert.equal(hook.ready!(), true);
    assert.equal(counted(metrics, "chihaya_jwt_key_age_seconds"), 3599);
    pass(1);
    assert.equal(announce(hook, token), unverifiableJwt);
    assert.equal(hook.ready!(), "no keys from https://registry/keys for 3600 s");
    issuer.answer = undefined;
    t.mock.timers.tick(30_000);
    await until(() => hook.ready!() === true);
    assert.equal(announce(hook, token), undefined);
    assert.equal(logged[1], "the issuer's keys can be fetched again");
  });

  test("an issuer that is down at the start does not stop it", async (t) => {
    const issuer = new Issuer();
    issuer.answer = () => new Response("", { status: 503 });
    const options = { jwkSetUrl: "https://registry/keys?key=secret" };
    const { hooks, logged, sources } = await start(t, { issuer, workers: 2, options });
    assert.deepEqual(sources, ["https://registry/keys"]);
    const token = await signToken(rsa, claims);
    for (const hook of hooks) {
      assert.equal(announce(hook, token), unverifiableJwt);
      assert.equal(hook.ready!(), "no keys yet from https://registry/keys");
    }
    assert.deepEqual(logged, ["failed to fetch the issuer's keys; no token can be verified"]);
    issuer.answer = undefined;
    t.mock.timers.tick(30_000);
    await until(() => hooks.every((hook) => hook.ready!() === true));
    for (const hook of hooks) assert.equal(await announce(hook, token), undefined);
  });

  test("a reload while the issuer is down goes on with the keys that are there", async (t) => {
    const clock = { seconds: 1000, unixSeconds: now };
    const hub = new LocalHub({ clock, random: createRandom(1) });
    const { issuer } = await start(t, { hub });
    t.mock.timers.reset();
    issuer.answer = () => Promise.reject(new Error("down"));
    const { hook } = await start(t, { hub, issuer });
    assert.equal(hook.ready!(), true);
    assert.equal(await announce(hook, await signToken(rsa, claims)), undefined);
  });

  test("the tracker does not wait for an issuer without a response", async (t) => {
    const issuer = new Issuer();
    issuer.answer = () => new Promise(() => undefined);
    const starting = start(t, { issuer, workers: 2 });
    await until(() => issuer.fetches === 1);
    t.mock.timers.tick(6000);
    const { hook } = await starting;
    assert.equal(hook.ready!(), "no keys yet from https://registry/keys");
  });

  for (const [what, answer] of [
    ["a status that is no success", () => Response.json({ keys: [nextRsa.jwk] }, { status: 404 })],
    ["no JSON", () => new Response("<html>")],
    ["another document", () => Response.json([])],
    ["no keys", () => Response.json({ keys: [] })],
    ["no key that can be used", () => Response.json({ keys: [null, 7, {}, { kid: "x" }, ec.jwk] })],
    ["too many bytes", () => Response.json({ keys: [nextRsa.jwk], x: "x".repeat(maxKeySetLength) })],
  ] as const) {
    test(`a response with ${what} does not change the keys`, async (t) => {
      const { hook, issuer, metrics } = await start(t);
      issuer.answer = answer;
      assert.equal(await announce(hook, await signToken(nextRsa, claims)), invalidJwt);
      assert.equal(counted(metrics, "chihaya_jwt_key_fetches_total", "failed"), 1);
      assert.equal(await announce(hook, await signToken(rsa, claims)), undefined);
    });
  }

  test("a redirect is not followed", async (t) => {
    const server = createServer((request, response) => {
      if (request.url === "/keys") response.writeHead(301, { location: "/elsewhere" }).end();
      else response.end(JSON.stringify({ keys: [rsa.jwk] }));
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    t.after(() => {
      server.close();
      server.closeAllConnections();
    });
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/keys`;
    const { signal } = new AbortController();
    await assert.rejects(fetchKeySet(url, signal, { fetch }), {
      message: "status 301, a redirect: give the URL that it leads to",
    });
  });

  test("keys that cannot be used do not spoil the others", async (t) => {
    const short = { ...rsa.jwk, kid: "short", n: rsa.jwk.n!.slice(0, 171) };
    const secret = { kty: "oct", k: "AAAA", kid: "secret" };
    const wrong = { kty: "RSA", n: "!", e: "!", kid: "wrong" };
    const issuer = new Issuer();
    issuer.keys = [short, secret, wrong, { kty: "XYZ", kid: "new" }, { ...nextRsa.jwk, use: "enc" }, rsa.jwk];
    const { hook } = await start(t, { issuer });
    assert.equal(await announce(hook, await signToken(rsa, claims)), undefined);
    assert.equal(await announce(hook, await signToken(nextRsa, claims)), invalidJwt);
  });

  const signNameless = (key: IssuerKey) =>
    new SignJWT(claims).setProtectedHeader({ alg: key.algorithm }).sign(key.privateKey);
  const nameless = ({ jwk: { kid, ...jwk } }: IssuerKey) => jwk;

  for (const others of [[], [nextRsa.jwk]]) {
    test(`a key without a kid verifies the tokens without one, beside ${others.length} others`, async (t) => {
      const issuer = new Issuer();
      issuer.keys = [nameless(rsa), ...others];
      const { hook } = await start(t, { issuer });
      assert.equal(await announce(hook, await signNameless(rsa)), undefined);
      assert.equal(await announce(hook, await signNameless(nextRsa)), invalidJwt, "signed by another key");
      assert.equal(await announce(hook, await signToken(rsa, claims)), invalidJwt, "of another name");
      const named = others.length > 0 ? undefined : invalidJwt;
      assert.equal(await announce(hook, await signToken(nextRsa, claims)), named);
    });
  }

  test("of several keys without a kid none is used", async (t) => {
    const issuer = new Issuer();
    issuer.keys = [nameless(rsa), nameless(nextRsa), ec.jwk];
    const { hook } = await start(t, { issuer, options: { algorithms: ["RS256", "ES256"] } });
    assert.equal(await announce(hook, await signNameless(rsa)), invalidJwt);
    assert.equal(await announce(hook, await signToken(ec, claims)), undefined);
  });

  test("may begin with a byte order mark", () => {
    const document = JSON.stringify({ keys: [rsa.jwk] });
    assert.deepEqual(parseKeySet(`\ufeff${document}`), parseKeySet(document));
  });

  test("come from a file too, which must be there at the start", async (t) => {
    const directory = mkdtempSync(join(tmpdir(), "chihaya-"));
    t.after(() => rmSync(directory, { recursive: true }));
    const jwkSetFile = join(directory, "keys.json");
    const options = { jwkSetFile, jwkSetUrl: undefined };
    await assert.rejects(start(t, { options }), /no keys in .*keys\.json/);
    t.mock.timers.reset();
    writeFileSync(jwkSetFile, JSON.stringify({ keys: [rsa.jwk] }));
    const { hook } = await start(t, { options });
    assert.equal(await announce(hook, await signToken(rsa, claims)), undefined);
    writeFileSync(jwkSetFile, JSON.stringify({ keys: [nextRsa.jwk] }));
    assert.equal(await announce(hook, await signToken(nextRsa, claims)), undefined);
  });
});
