import type { Address } from "../../../ip/address.ts";
import type { Clock } from "../../../lib/clock.ts";

/** Seconds between two full scrapes of one address, as in opentracker. */
const pause = 300;
/** Maximum number of addresses that are remembered; the oldest is forgotten. */
const most = 4096;

/** Bounds the full scrapes of strangers: one for each IPv4 address or /64 of IPv6 in five minutes. */
export class ModestClients {
  readonly #clock: Pick<Clock, "seconds">;
  /** When each client made its scrape; the oldest is first. */
  readonly #since = new Map<string, number>();

  constructor(clock: Pick<Clock, "seconds">) {
    this.#clock = clock;
  }

  /** Counts a full scrape. @returns 0 if it is allowed, otherwise the seconds to wait */
  take(client: Address): number {
    const { seconds } = this.#clock;
    for (const [key, since] of this.#since) {
      if (seconds - since < pause) break;
      this.#since.delete(key);
    }
    const key = client.family === 4 ? `${client}` : `${client.words[0]},${client.words[1]}`;
    const since = this.#since.get(key);
    if (since !== undefined) return pause - (seconds - since);
    this.#since.set(key, seconds);
    if (this.#since.size > most) this.#since.delete(this.#since.keys().next().value!);
    return 0;
  }
}
