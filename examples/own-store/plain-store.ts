import { defineStore, lifetimeKeys } from "chihaya";
import { integer, options } from "chihaya/options";
import { PlainStore } from "./swarms.ts";

/** Keeps the swarms in maps of one thread: a store to read, and to begin one of your own with. */
export default defineStore({
  name: "plain",
  description: "in maps of one thread",
  options: options({
    ...lifetimeKeys,
    max_peers: integer(1, 10_000_000).default(100_000).describe("Most peers that are stored."),
  }),
  create: (options, { clock, random }) => new PlainStore(options, clock, random),
});
