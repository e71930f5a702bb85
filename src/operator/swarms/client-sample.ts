import type { ClientNames } from "../../observability/client-names.ts";
import type { ClientSample } from "./swarm-methods.ts";

/** The most versions of one client that are counted, and the most that are listed. */
const maxVersions = 1000;
const listedVersions = 20;

/** Counts peers by the software that their peer ids name. Whatever the ids hold, the names are from a fixed table. */
export class ClientSampler {
  readonly #names: ClientNames;
  readonly #clients = new Map<string, { peers: number; versions: Map<string, number> }>();
  peers = 0;

  constructor(names: ClientNames) {
    this.#names = names;
  }

  add(peerId: Uint8Array): void {
    const name = this.#names.identify(peerId);
    const client = this.#clients.get(name) ?? { peers: 0, versions: new Map() };
    if (client.peers === 0) this.#clients.set(name, client);
    client.peers++;
    this.peers++;
    const version = name === "other" ? undefined : versionOf(peerId);
    if (version === undefined) return;
    const count = client.versions.get(version) ?? 0;
    if (count > 0 || client.versions.size < maxVersions) client.versions.set(version, count + 1);
  }

  /** Returns the counts, the most frequent first. */
  finish(): ClientSample {
    const clients = [...this.#clients].map(([name, { peers, versions }]) => ({
      name,
      peers,
      versions: Object.fromEntries([...versions].sort(([, a], [, b]) => b - a).slice(0, listedVersions)),
    }));
    return { known: true, peers: this.peers, clients: clients.sort((a, b) => b.peers - a.peers) };
  }
}

/** Returns the version of `-XX1234-` (BEP 20) as it is written; undefined unless it is letters and digits. */
function versionOf(peerId: Uint8Array): string | undefined {
  const text = Buffer.from(peerId.subarray(0, 8)).toString("latin1");
  return /^-..([0-9A-Za-z]{4})-$/.exec(text)?.[1];
}
