import type { Clock } from "../../../lib/clock.ts";
import { Kept } from "../../../lib/kept.ts";
import type { ClientSample, SwarmMethods } from "../../swarms/swarm-methods.ts";
import { type Endpoint, endpoint } from "../endpoint.ts";
import type { Sampler } from "../sampler.ts";
import { boolean, count, list, map, nullable, object, type Shape, string } from "../shape.ts";
import { ask } from "./torrents.ts";

/** Peers whose ids are read for one sample. */
const samplePeers = 100_000;
/** Seconds for which a sample is kept. */
const keptFor = 10;

/** A client in a response. */
interface Client {
  readonly name: string;
  readonly announces: number;
  readonly peers: number | null;
  readonly versions: Readonly<Record<string, number>>;
}

const clientShape: Shape<Client> = object({
  name: string("From a table of this tracker, or `other`."),
  announces: count("Since the start."),
  peers: nullable(count("Peers of the sample; null if the store does not keep peer ids.")),
  versions: map(count(), "Peers of the sample by the version in their ids, the twenty most frequent."),
});

export interface ClientDeps {
  readonly clock: Clock;
  readonly sampler: Sampler;
  readonly swarms: SwarmMethods;
}

/** Creates `/clients`. */
export function clientEndpoints({ clock, sampler, swarms }: ClientDeps): Endpoint[] {
  const samples = new Kept(() => swarms.sampleClients(samplePeers), { seconds: keptFor, clock });
  return [
    endpoint({
      method: "GET",
      path: "/clients",
      scope: "read",
      summary: "Announces and peers by client software, as peer ids name it",
      response: object({
        known: boolean("Whether the store keeps peer ids, so that peers can be counted by client."),
        sampled_peers: count(`Peers that were counted: ${samplePeers} or a few more at most.`),
        clients: list(clientShape, "The most announces first."),
      }),
      problems: [501, 503],
      async handle() {
        const [totals, sample] = await Promise.all([sampler.read(), ask(samples.read())]);
        return {
          known: sample.known,
          sampled_peers: sample.peers,
          clients: merge(totals.by("chihaya_announces_by_client_total", "client"), sample),
        };
      },
    }),
  ];
}

function merge(announces: Readonly<Record<string, number>>, { known, clients }: ClientSample): Client[] {
  const sampled = new Map(clients.map((client) => [client.name, client]));
  return [...new Set([...Object.keys(announces), ...sampled.keys()])]
    .map((name) => {
      const { peers = 0, versions = {} } = sampled.get(name) ?? {};
      return { name, announces: announces[name] ?? 0, peers: known ? peers : null, versions };
    })
    .filter(({ announces: own, peers }) => own > 0 || (peers ?? 0) > 0)
    .sort((a, b) => b.announces - a.announces || (b.peers ?? 0) - (a.peers ?? 0));
}
