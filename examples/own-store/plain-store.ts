import { defineStore, lifetimeKeys } from "chihaya";
import { integer, options } from "chihaya/options";
import { PlainStore } from "./swarms.ts";

/** A store that keeps the swarms in maps of one thread: an example to read and to copy. */
export default defineStore({
  name: "plain",
  description: "in maps of one thread",
  options: options({
    ...lifetimeKeys,
    max_peers: integer(1, 10_000_000).default(100_000).describe("Maximum number of peers."),
  }),
  create: (options, { clock, random }) => new PlainStore(options, clock, random),
});
