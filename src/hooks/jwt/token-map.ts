interface Entry<Value> {
  readonly key: string;
  readonly token: string;
  readonly value: Value;
}

/**
 * A map by token, of at most `capacity` entries. Recently used entries stay: entries live in two generations, and a hit
 * moves an entry to the young one. When the young generation has half the capacity, it becomes the old one, and the
 * previous old one is dropped.
 *
 * The key is the end of a token, part of its signature; a look-up then compares the whole token. Hashing all of a fresh
 * string costs a microsecond, comparing it a tenth of that. Of two tokens with the same end, the later one stays.
 */
export class TokenMap<Value> {
  readonly #half: number;
  #young = new Map<string, Entry<Value>>();
  #old = new Map<string, Entry<Value>>();

  constructor(capacity: number) {
    this.#half = Math.ceil(capacity / 2);
  }

  get(token: string): Value | undefined {
    const key = token.slice(-keyLength);
    let entry = this.#young.get(key);
    if (entry === undefined) {
      entry = this.#old.get(key);
      if (entry !== undefined) this.#put(entry);
    }
    return entry?.token === token ? entry.value : undefined;
  }

  set(token: string, value: Value): void {
    // Copies the token: a substring keeps the whole string alive, and this one may be part of a long query.
    const own = Buffer.from(token, "latin1").toString("latin1");
    this.#put({ key: own.slice(-keyLength), token: own, value });
  }

  clear(): void {
    this.#young.clear();
    this.#old.clear();
  }

  #put(entry: Entry<Value>): void {
    this.#young.set(entry.key, entry);
    if (this.#young.size < this.#half) return;
    this.#old = this.#young;
    this.#young = new Map();
  }
}

/** Characters of a signature: 144 bits. */
const keyLength = 24;
