import { ClientError, overloadedError } from "../../bittorrent/client-error.ts";
import type { Params } from "../../bittorrent/params.ts";
import type { HookDeps } from "../../middleware/define-hook.ts";
import type { Hook, HookResult } from "../../middleware/hook.ts";
import type { Counter } from "../../observability/metrics.ts";
import { invalidJwt, missingJwt, unverifiableJwt } from "./errors.ts";
import { IssuerKeys } from "./issuer-keys.ts";
import type { JwtOptions } from "./options.ts";
import type { KeySetSources } from "./read-key-set.ts";
import type { SigningKey } from "./signing-key.ts";
import { TokenMap } from "./token-map.ts";
import { type Approval, type Refusal, verifyToken } from "./verify-token.ts";

/** Maximum characters of a token; tokens of registries have 600. */
const maxTokenLength = 4096;
/** Seconds for which a refusal is cached. */
const refusalLifetime = 5;
const maxRefusals = 1024;
/** Maximum tokens in verification at once. */
const maxVerifications = 1024;
/** Maximum tokens that wait for an unknown key at once; one fetch brings the keys, or none do. */
const maxKeyless = 64;

const results: readonly (Refusal | "valid")[] = [
  "valid",
  "malformed",
  "algorithm",
  "unknown_key",
  "signature",
  "claims",
  "expired",
  "overloaded",
];

/** Three parts in base64url, none of them empty. */
const compactForm = /^[\w-]+\.[\w-]+\.[\w-]+$/;

/**
 * Creates the prehook `jwt`: an announce needs a token, in its URL, in which the issuer allows the infohash. A token is
 * verified once, then cached until it expires or its key is withdrawn. Scrapes pass.
 */
export function createJwt(options: JwtOptions, deps: HookDeps, sources: KeySetSources = { fetch }): Hook {
  const { clock, metrics, shared } = deps;
  const places = options.parameters.map((name) => ({ inRoute: name, inQuery: name.toLowerCase() }));
  const approvals = new TokenMap<Approval>(options.cacheSize);
  const refusedUntil = new TokenMap<number>(maxRefusals);
  const underWay = new Map<string, Promise<Approval | ClientError>>();
  const keys = new IssuerKeys(options, deps, sources, () => refusedUntil.clear());
  let keyless = 0;

  const verified = Object.fromEntries(
    results.map((result) => [
      result,
      metrics.counter("chihaya_jwt_verifications_total", "Verified tokens, by result", { result }),
    ]),
  ) as Record<Refusal | "valid", Counter>;
  const hits = metrics.counter(
    "chihaya_jwt_known_tokens_total",
    "Announces with a cached token that is valid for their torrent",
  );
  let withdraw: (() => void) | undefined;

  async function findKey(kid: string): Promise<SigningKey | Refusal> {
    const known = keys.find(kid);
    if (known !== undefined) return known;
    const refreshed = keys.refresh();
    if (refreshed === undefined) return "unknown_key";
    if (keyless >= maxKeyless) return "overloaded";
    keyless++;
    await refreshed;
    keyless--;
    return keys.find(kid) ?? "unknown_key";
  }

  async function verify(token: string): Promise<Approval | ClientError> {
    const result = await verifyToken(token, options, clock.unixSeconds, findKey);
    underWay.delete(token);
    if (typeof result !== "string") {
      approvals.set(token, result);
      return result;
    }
    verified[result].inc();
    if (result === "overloaded") return overloadedError;
    refusedUntil.set(token, clock.seconds + refusalLifetime);
    return invalidJwt;
  }

  function consider(token: string, infoHashWords: Int32Array): HookResult | Promise<HookResult> {
    if (token.length > maxTokenLength || !compactForm.test(token)) {
      verified.malformed.inc();
      return invalidJwt;
    }
    if (clock.seconds < (refusedUntil.get(token) ?? 0)) return invalidJwt;
    let verification = underWay.get(token);
    const counter = verification === undefined ? verified.valid : hits;
    if (verification === undefined) {
      if (underWay.size >= maxVerifications) {
        verified.overloaded.inc();
        return overloadedError;
      }
      verification = verify(token);
      underWay.set(token, verification);
    }
    return verification.then((approval) =>
      approval instanceof ClientError ? approval : decide(approval, infoHashWords, counter),
    );
  }

  /** Refuses a valid token that is for another torrent. */
  function decide({ infoHashWords: allowed }: Approval, wanted: Int32Array, counter: Counter): HookResult {
    for (let i = 0; i < 5; i++) {
      if (allowed[i] === wanted[i]) continue;
      verified.claims.inc();
      return invalidJwt;
    }
    counter.inc();
    return undefined;
  }

  return {
    name: "jwt",
    start: async () => {
      await keys.start();
      if (!shared.isFirst) return;
      const help = "Time since the issuer's keys were fetched";
      withdraw = metrics.gauge("chihaya_jwt_key_age_seconds", help, () => keys.age());
    },
    stop: () => {
      withdraw?.();
      keys.stop();
    },
    ready: () => keys.ready(),
    handleAnnounce({ params, infoHashWords }) {
      const token = findToken(params, places);
      if (token === "") return missingJwt;
      if (clock.seconds >= keys.usableUntil) return unverifiableJwt;
      const approval = approvals.get(token);
      if (approval === undefined || !approval.key.isCurrent || clock.unixSeconds >= approval.until) {
        return consider(token, infoHashWords);
      }
      return decide(approval, infoHashWords, hits);
    },
  };
}

/** A place for a token; names in the query are in lower case. */
type Place = { readonly inRoute: string; readonly inQuery: string };

function findToken(params: Params, places: readonly Place[]): string {
  for (let i = 0; i < places.length; i++) {
    const { inRoute, inQuery } = places[i]!;
    const token = params.route(inRoute) ?? params.get(inQuery);
    if (token) return token;
  }
  return "";
}
