import type { PopulationShape } from "../../src/load/population.ts";

/** Numbers of torrents and peers, by the name of the population. */
export const populations: Readonly<Record<string, PopulationShape>> = {
  tiny: { torrents: 1000, peers: 20_000 },
  small: { torrents: 10_000, peers: 1_000_000 },
  large: { torrents: 1_000_000, peers: 2_000_000 },
};
