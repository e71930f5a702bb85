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
  removed,
  text,
} from "../../options/index.ts";
import { invalidJwt, missingJwt, unverifiableJwt } from "./errors.ts";
import { type JwtOptions, sourceName } from "./options.ts";
import { maxKeySetLength, parseKeySet } from "./read-key-set.ts";

const algorithms = ["RS256", "ES256", "EdDSA"] as const;

function checkParameter(name: string): string | undefined {
  return /^\w+$/.test(name)
    ? undefined
    : `expected a name of letters, digits and _, got ${JSON.stringify(name)}`;
}

/** Returns the problem of the text of a key file, as a phrase after the path. */
function checkKeySet(text: string): string | undefined {
  const remedy = 'write the issuer\'s public keys there, as "chihaya token jwks" does';
  try {
    return parseKeySet(text).length > 0 ? undefined : `holds no key; ${remedy}`;
  } catch (error) {
    return `is ${(error as Error).message}; ${remedy}`;
  }
}

/** Allows announces by a token in their URL; needs the package jose. */
export const jwt: HookDefinition<
  JwtOptions,
  WithDefaults<
    JwtOptions,
    "jwkSetUpdateInterval" | "jwkSetMaxAge" | "algorithms" | "leeway" | "parameters" | "cacheSize"
  >
> = defineHook({
  name: "jwt",
  description:
    "Refuses announces unless their URL has a token (a JSON Web Token) in which the issuer allows the infohash, with " +
    "`unapproved request: missing jwt` or `unapproved request: invalid jwt`.",
  options: options(
    {
      issuer: text({ check: checkNotEmpty }).describe("Required value of the claim `iss`."),
      audience: text({ check: checkNotEmpty }).describe("Value that the claim `aud` must equal or contain."),
      jwk_set_url: text({ check: (url) => (url === "" ? undefined : checkUrl(url)) })
        .default("")
        .describe("URL of the issuer's public keys, a JSON Web Key Set. Give this or `jwk_set_file`."),
      jwk_set_file: file({ check: checkKeySet, limit: maxKeySetLength })
        .default("")
        .describe("File with the issuer's public keys, as a JSON Web Key Set."),
      jwk_set_update_interval: duration(1).default("5m").describe("Time between two checks for new keys."),
      jwk_set_timeout: removed("a fetch of the keys may take 5 seconds"),
      jwk_set_max_age: duration(1).default("24h").describe("How long to use keys that cannot be refreshed."),
      algorithms: choices(algorithms)
        .default(["RS256"])
        .describe(`Allowed signature algorithms: ${algorithms.map((name) => `\`${name}\``).join(", ")}.`),
      leeway: duration(0, { whole: true })
        .default("30s")
        .describe("Allowed error of the issuer's clock, for `exp` and `nbf`."),
      parameters: list({ check: checkParameter })
        .default(["jwt"])
        .describe("Parameters of the route or the query that may hold the token."),
      cache_size: integer(2, 10_000_000)
        .default(65_536)
        .describe("Number of valid tokens that each worker caches; about a kilobyte each."),
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
  probes: (options) => [
    {
      name: sourceName(options),
      run: async (signal) => {
        const { readUsableKeys } = await import("./issuer-keys.ts");
        const keys = await readUsableKeys(options, signal, { fetch });
        return keys.length === 1 ? "1 key" : `${keys.length} keys`;
      },
    },
  ],
  create: async (options, deps) => (await import("./jwt.ts")).createJwt(options, deps),
});
