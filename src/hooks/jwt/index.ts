import { defineHook, type HookDefinition, type WithDefaults } from "../../middleware/define-hook.ts";
import {
  checkNotEmpty,
  checkUrl,
  choices,
  duration,
  file,
  integer,
  list,
  options,
  text,
} from "../../options/index.ts";
import { invalidJwt, missingJwt, unverifiableJwt } from "./errors.ts";
import type { JwtOptions } from "./options.ts";
import { maxKeySetLength, parseKeySet } from "./read-key-set.ts";

const algorithms = ["RS256", "ES256", "EdDSA"] as const;

function checkParameter(name: string): string | undefined {
  return /^\w+$/.test(name)
    ? undefined
    : `expected a name of letters, digits and _, got ${JSON.stringify(name)}`;
}

/** Returns what is wrong with the text of a file of keys; follows on its path. */
function checkKeySet(text: string): string | undefined {
  const remedy = 'write the issuer\'s public keys there, as "chihaya token jwks" does';
  try {
    return parseKeySet(text).length > 0 ? undefined : `holds no key; ${remedy}`;
  } catch (error) {
    return `is ${(error as Error).message}; ${remedy}`;
  }
}

/** Lets announces pass by a token in their URL; needs the package jose. */
export const jwt: HookDefinition<
  JwtOptions,
  WithDefaults<
    JwtOptions,
    | "jwkSetUpdateInterval"
    | "jwkSetTimeout"
    | "jwkSetMaxAge"
    | "algorithms"
    | "leeway"
    | "parameters"
    | "cacheSize"
  >
> = defineHook({
  name: "jwt",
  description:
    "Refuses announces whose URL has no token (a JSON Web Token) by which the issuer allows the infohash, with " +
    "`unapproved request: missing jwt` or `unapproved request: invalid jwt`.",
  options: options(
    {
      issuer: text({ check: checkNotEmpty }).describe("What the claim `iss` must be."),
      audience: text({ check: checkNotEmpty }).describe("What the claim `aud` must be, or contain."),
      jwk_set_url: text({ check: (url) => (url === "" ? undefined : checkUrl(url)) })
        .default("")
        .describe("Where the issuer's public keys are, as a JSON Web Key Set. This or `jwk_set_file`."),
      jwk_set_file: file({ check: checkKeySet, limit: maxKeySetLength })
        .default("")
        .describe("File with the issuer's public keys, as a JSON Web Key Set."),
      jwk_set_update_interval: duration(1).default("5m").describe("Time between two looks for new keys."),
      jwk_set_timeout: duration(0.001).default("5s").describe("Time for an answer of `jwk_set_url`."),
      jwk_set_max_age: duration(1)
        .default("24h")
        .describe("How long keys are used when no newer ones can be had."),
      algorithms: choices(algorithms)
        .default(["RS256"])
        .describe(`Signatures that are allowed: ${algorithms.map((name) => `\`${name}\``).join(", ")}.`),
      leeway: duration(0, { whole: true })
        .default("30s")
        .describe("How far the issuer's clock may be off, for `exp` and `nbf`."),
      parameters: list({ check: checkParameter })
        .default(["jwt"])
        .describe("Parameters of the route or the query that may hold the token."),
      cache_size: integer(2, 10_000_000)
        .default(65_536)
        .describe("Tokens that each worker remembers as valid; about a kilobyte each."),
    },
    {
      check({ jwkSetUrl, jwkSetFile, algorithms: allowed, parameters }, refuse) {
        if (jwkSetUrl === "" && jwkSetFile === "")
          refuse("jwkSetUrl", "must specify jwk_set_url or jwk_set_file");
        if (jwkSetUrl !== "" && jwkSetFile !== "")
          refuse("jwkSetFile", "jwk_set_url is set already; remove one of the two");
        if (allowed.length === 0) refuse("algorithms", `must name one of ${algorithms.join(", ")}`);
        if (parameters.length === 0) refuse("parameters", 'must name a parameter, as "jwt"');
      },
    },
  ),
  example: {
    issuer: "registry",
    audience: "https://tracker.example.com/announce",
    jwk_set_url: "https://registry.example.com/keys",
    jwk_set_update_interval: "5m",
  },
  errors: [missingJwt, invalidJwt, unverifiableJwt],
  create: async (options, deps) => (await import("./jwt.ts")).createJwt(options, deps),
});
