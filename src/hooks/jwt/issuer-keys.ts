import type { JWK } from "jose";
import type { HookDeps } from "../../middleware/define-hook.ts";
import type { Counter } from "../../observability/metrics.ts";
import { type JwtOptions, sourceName } from "./options.ts";
import { fetchKeySet, type KeySetSources, readKeySet } from "./read-key-set.ts";
import { createSigningKey, type SigningKey } from "./signing-key.ts";
import { withoutKid } from "./verify-token.ts";

/** Minimum seconds between two fetches for unknown keys. */
const cooldown = 10;
/** Seconds until a failed fetch is repeated, unless the interval is shorter. */
const retryInterval = 30;

/** Time limit of a fetch, in milliseconds. */
const fetchMs = 5000;

/** The message from the first worker to all workers. */
interface Published {
  keys: readonly JWK[];
  /** The time of the fetch, on the clock of seconds that all threads share; -1 before the first fetch. */
  fetchedAt: number;
}

/**
 * The public keys of an issuer, the same in all workers. The first worker fetches the keys from a URL or file and
 * publishes them: on schedule, and when a token in any worker names an unknown key. If a fetch fails, the present keys
 * stay in use, up to `jwkSetMaxAge`.
 */
export class IssuerKeys {
  /** The time, on the clock of seconds, from which the keys are too old. */
  usableUntil = -1;
  readonly #options: JwtOptions;
  readonly #deps: HookDeps;
  readonly #sources: KeySetSources;
  readonly #source: string;
  /** The source in messages: a path, or a URL without secrets. */
  readonly #name: string;
  readonly #changed: () => void;
  readonly #fetches: { readonly ok: Counter; readonly failed: Counter };
  #keys: ReadonlyMap<string, SigningKey> = new Map();
  #published: Published = { keys: [], fetchedAt: -1 };
  #subscriptions: (() => void)[] = [];
  #installed: Promise<void> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;
  #fetching: Promise<boolean> | undefined;
  #isFailing = false;
  #fetchAgainAt = -1;
  #askAgainAt = -1;
  #news: PromiseWithResolvers<void> | undefined;
  #newsTimer: NodeJS.Timeout | undefined;
  readonly #stopping = new AbortController();

  /** @param changed  called after a key was added or withdrawn */
  constructor(options: JwtOptions, deps: HookDeps, sources: KeySetSources, changed: () => void) {
    this.#options = options;
    this.#deps = deps;
    this.#sources = sources;
    const { jwkSetUrl = "", jwkSetFile = "" } = options;
    this.#source = jwkSetUrl || jwkSetFile;
    this.#name = sourceName(options);
    this.#changed = changed;
    const fetches = (result: "ok" | "failed") =>
      deps.metrics.counter("chihaya_jwt_key_fetches_total", "Fetches of the issuer's keys, by result", {
        result,
      });
    this.#fetches = { ok: fetches("ok"), failed: fetches("failed") };
  }

  /**
   * Waits for the first keys, as long as one fetch may take; later keys arrive on their own.
   * @throws Error if a file is unusable; an issuer that does not respond may respond later
   */
  async start(): Promise<void> {
    const { shared } = this.#deps;
    const { promise } = this.#expectNews();
    this.#subscriptions.push(
      shared.subscribe(`keys ${this.#source}`, (value) => this.#take(value as Published)),
    );
    if (shared.isFirst) {
      const fetched = this.#fetch();
      this.#subscriptions.push(shared.subscribe(`wanted ${this.#source}`, () => this.#fetchAgain()));
      if (this.#options.jwkSetFile && !(await fetched)) {
        await this.#installed;
        if (this.usableUntil < 0) {
          this.stop();
          throw new Error(`no keys in ${this.#name}; the log says why`);
        }
      }
    }
    await promise;
  }

  stop(): void {
    clearTimeout(this.#timer);
    for (const unsubscribe of this.#subscriptions) unsubscribe();
    this.#stopping.abort();
    this.#tellNews();
  }

  find(kid: string): SigningKey | undefined {
    return this.#keys.get(kid);
  }

  /** Returns true, or why tokens cannot be verified. */
  ready(): true | string {
    if (this.#deps.clock.seconds < this.usableUntil) return true;
    return this.#published.fetchedAt < 0
      ? `no keys yet from ${this.#name}`
      : `no keys from ${this.#name} for ${this.age()} s`;
  }

  /** Returns the seconds since the keys were fetched. @throws Error if they never were */
  age(): number {
    if (this.#published.fetchedAt < 0) throw new Error("there are no keys");
    return this.#deps.clock.seconds - this.#published.fetchedAt;
  }

  /**
   * Requests newer keys, at a limited rate.
   * @returns a promise that settles when newer keys may have arrived, or undefined if none are expected
   */
  refresh(): Promise<void> | undefined {
    if (this.#news !== undefined) return this.#news.promise;
    const { clock, shared } = this.#deps;
    if (clock.seconds < this.#askAgainAt) return undefined;
    this.#askAgainAt = clock.seconds + cooldown;
    const { promise } = this.#expectNews();
    shared.publish(`wanted ${this.#source}`, clock.seconds);
    return promise;
  }

  /** Fetches again at the request of a worker. */
  #fetchAgain(): void {
    const { clock, shared } = this.#deps;
    if (this.#fetching !== undefined) return;
    if (clock.seconds < this.#fetchAgainAt) {
      shared.publish(`keys ${this.#source}`, this.#published); // for workers that wait
      return;
    }
    this.#fetchAgainAt = clock.seconds + cooldown;
    void this.#fetch();
  }

  /** @returns whether there are keys */
  #fetch(): Promise<boolean> {
    clearTimeout(this.#timer);
    this.#fetching ??= this.#load().finally(() => {
      this.#fetching = undefined;
    });
    return this.#fetching;
  }

  async #load(): Promise<boolean> {
    const { clock, shared, logger } = this.#deps;
    const { jwkSetUpdateInterval } = this.#options;
    let isFetched = true;
    let failure: unknown;
    try {
      this.#published = { keys: await this.#read(), fetchedAt: clock.seconds };
    } catch (error) {
      isFetched = false;
      failure = error;
    }
    if (this.#stopping.signal.aborted) return isFetched;
    const fields = { source: this.#name };
    if (isFetched && this.#isFailing) logger.info(fields, "the issuer's keys can be fetched again");
    if (!isFetched && !this.#isFailing) {
      const { fetchedAt } = this.#published;
      const effect = fetchedAt < 0 ? "no token can be verified" : "the previous keys stay in use for a time";
      logger.error(
        { ...fields, reason: explain(failure).replaceAll(this.#source, this.#name) },
        `failed to fetch the issuer's keys; ${effect}`,
      );
    }
    this.#isFailing = !isFetched;
    this.#fetches[isFetched ? "ok" : "failed"].inc();
    shared.publish(`keys ${this.#source}`, this.#published);
    const delay = isFetched ? jwkSetUpdateInterval : Math.min(jwkSetUpdateInterval, retryInterval);
    this.#timer = setTimeout(() => void this.#fetch(), delay * 1000).unref();
    return isFetched;
  }

  #read(): Promise<JWK[]> {
    const signal = AbortSignal.any([this.#stopping.signal, AbortSignal.timeout(fetchMs)]);
    return readUsableKeys(this.#options, signal, this.#sources);
  }

  #take(published: Published): void {
    this.#published = published;
    this.#installed = this.#installed.then(() => this.#install(published));
  }

  async #install(published: Published): Promise<void> {
    const keys = new Map<string, SigningKey>();
    for (const jwk of published.keys) {
      const { kid = withoutKid } = jwk;
      const known = this.#keys.get(kid);
      const isSame = known !== undefined && JSON.stringify(known.jwk) === JSON.stringify(jwk);
      const key = isSame
        ? known
        : await createSigningKey(jwk, this.#options.algorithms).catch(() => undefined); // a worker with other options may have published the key
      if (key !== undefined) keys.set(kid, key);
    }
    const gone = [...this.#keys].filter(([kid, key]) => keys.get(kid) !== key);
    for (const [, key] of gone) key.isCurrent = false;
    const isChanged = gone.length > 0 || keys.size !== this.#keys.size;
    this.#keys = keys;
    this.usableUntil = keys.size === 0 ? -1 : published.fetchedAt + this.#options.jwkSetMaxAge;
    if (isChanged) this.#changed();
    this.#tellNews();
  }

  #expectNews(): PromiseWithResolvers<void> {
    this.#news = Promise.withResolvers();
    // Waits a second longer than a fetch by the first worker, in case that worker is gone.
    this.#newsTimer = setTimeout(() => this.#tellNews(), fetchMs + 1000).unref();
    return this.#news;
  }

  #tellNews(): void {
    clearTimeout(this.#newsTimer);
    this.#news?.resolve();
    this.#news = undefined;
  }
}

/** Returns the message of an error and its cause, because fetch itself only says "fetch failed". */
function explain(error: unknown): string {
  const { message, cause } = error as Error;
  return cause instanceof Error ? `${message}: ${cause.message}` : message;
}

/** Reads the usable keys of a file or URL. @throws Error if there are none */
export async function readUsableKeys(
  { jwkSetUrl = "", jwkSetFile, algorithms }: Pick<JwtOptions, "jwkSetUrl" | "jwkSetFile" | "algorithms">,
  signal: AbortSignal,
  sources: KeySetSources,
): Promise<JWK[]> {
  const found = jwkSetFile ? await readKeySet(jwkSetFile) : await fetchKeySet(jwkSetUrl, signal, sources);
  const usable: JWK[] = [];
  const reasons: string[] = [];
  for (const jwk of found) {
    try {
      await createSigningKey(jwk, algorithms);
      usable.push(jwk);
    } catch (error) {
      reasons.push(`${typeof jwk.kid === "string" ? jwk.kid : "one"} ${(error as Error).message}`);
    }
  }
  const named = usable.filter(({ kid = withoutKid }) => kid !== withoutKid);
  const nameless = usable.length - named.length;
  if (nameless === 1) return usable;
  if (named.length > 0) return named;
  if (nameless > 1) reasons.push(`${nameless} have no kid, which only one may have`);
  throw new Error(`no key can be used: ${reasons.length > 0 ? reasons.join("; ") : "there is none"}`);
}
