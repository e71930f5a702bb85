import type { PopulationShape } from "../../src/load/population.ts";

/** Torrents and peers that servers are filled with, by name. */
export const populations: Readonly<Record<string, PopulationShape>> = {
  tiny: { torrents: 1000, peers: 20_000 },
  small: { torrents: 10_000, peers: 1_000_000 },
  large: { torrents: 1_000_000, peers: 2_000_000 },
};
