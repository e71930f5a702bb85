interface Entry<Value> {
  readonly key: string;
  readonly token: string;
  readonly value: Value;
}

/**
 * Values by token, for at most `capacity` of them. What has been asked for lately stays: entries live in two generations, a
 * hit moves one to the young, and when the young one is half the capacity it becomes the old and the old is forgotten.
 *
 * A token is found by its end, part of its signature, and then compared as a whole: hashing all of a fresh string costs a
 * microsecond, comparing it a tenth of that. Of two tokens with one end the later is kept.
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
    // A copy: a part of a string keeps the whole alive, and this one may be part of a long query.
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
