import { z } from "zod";
import type { JwtAlgorithm, JwtOptions } from "../../hooks/jwt/options.ts";
import { quote } from "../diagnostics.ts";
import { duration, integer, list, text } from "../values.ts";
import { type BuiltInHook, describeHook } from "./built-in.ts";

const algorithms: readonly JwtAlgorithm[] = ["RS256", "ES256", "EdDSA"];

function isAlgorithm(name: string): name is JwtAlgorithm {
  return (algorithms as readonly string[]).includes(name);
}

function algorithm(name: string): string | undefined {
  return isAlgorithm(name) ? undefined : `expected one of ${algorithms.join(", ")}, got ${quote(name)}`;
}

function httpUrl(text: string): string | undefined {
  if (text === "") return undefined;
  const { protocol, username, password } = URL.parse(text) ?? {};
  if (protocol !== "http:" && protocol !== "https:") return "expected a URL with http or https"; // not which one: there may be a secret in it
  return username || password ? "a URL with a user cannot be fetched" : undefined;
}

function parameterName(name: string): string | undefined {
  return /^\w+$/.test(name) ? undefined : `expected a name of letters, digits and _, got ${quote(name)}`;
}

const notEmpty = (text: string) => (text === "" ? "must not be empty" : undefined);

const options = z
  .strictObject({
    issuer: text({ check: notEmpty }).describe("What the claim `iss` must be."),
    audience: text({ check: notEmpty }).describe("What the claim `aud` must be, or contain."),
    jwk_set_url: text({ check: httpUrl })
      .prefault("")
      .describe("Where the issuer's public keys are, as a JSON Web Key Set. This or `jwk_set_file`."),
    jwk_set_file: text().prefault("").describe("File with the issuer's public keys, as a JSON Web Key Set."),
    jwk_set_update_interval: duration(1).prefault("5m").describe("Time between two looks for new keys."),
    jwk_set_timeout: duration(0.001).prefault("5s").describe("Time for an answer of `jwk_set_url`."),
    jwk_set_max_age: duration(1)
      .prefault("24h")
      .describe("How long keys are used when no newer ones can be had."),
    algorithms: list({ check: algorithm })
      .prefault(["RS256"])
      .describe(`Signatures that are allowed: ${algorithms.map((name) => `\`${name}\``).join(", ")}.`),
    leeway: duration(0, { whole: true })
      .prefault("30s")
      .describe("How far the issuer's clock may be off, for `exp` and `nbf`."),
    parameters: list({ check: parameterName })
      .prefault(["jwt"])
      .describe("Parameters of the route or the query that may hold the token."),
    cache_size: integer(2, 10_000_000)
      .prefault("65536")
      .describe("Tokens that each worker remembers as valid; about a kilobyte each."),
  })
  .check((context) => {
    const { jwk_set_url, jwk_set_file, algorithms, parameters } = context.value;
    const refuse = (key: string, message: string) =>
      context.issues.push({ code: "custom", message, input: context.value, path: [key] });
    if (jwk_set_url === "" && jwk_set_file === "")
      refuse("jwk_set_url", "must specify jwk_set_url or jwk_set_file");
    if (jwk_set_url !== "" && jwk_set_file !== "")
      refuse("jwk_set_file", "jwk_set_url is set already; remove one of the two");
    if (algorithms.length === 0) refuse("algorithms", `must name one of RS256, ES256, EdDSA`);
    if (parameters.length === 0) refuse("parameters", 'must name a parameter, as "jwt"');
  })
  .transform(
    (options): JwtOptions => ({
      issuer: options.issuer,
      audience: options.audience,
      jwkSetUrl: options.jwk_set_url || undefined,
      jwkSetFile: options.jwk_set_file || undefined,
      jwkSetUpdateInterval: options.jwk_set_update_interval,
      jwkSetTimeout: options.jwk_set_timeout,
      jwkSetMaxAge: options.jwk_set_max_age,
      algorithms: options.algorithms.filter(isAlgorithm),
      leeway: options.leeway,
      parameters: options.parameters,
      cacheSize: options.cache_size,
    }),
  );

export const jwt: BuiltInHook<"jwt", JwtOptions> = describeHook(
  "jwt",
  {
    description:
      "Refuses announces whose URL has no token (a JSON Web Token) by which the issuer allows the infohash, with " +
      "`unapproved request: missing jwt` or `unapproved request: invalid jwt`.",
    example: {
      issuer: "registry",
      audience: "https://tracker.example.com/announce",
      jwk_set_url: "https://registry.example.com/keys",
      jwk_set_update_interval: "5m",
    },
  },
  options,
);
