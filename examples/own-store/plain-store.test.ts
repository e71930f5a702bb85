import { createRandom } from "chihaya";
import { storeConformance } from "chihaya/storage/conformance";
import { PlainStore } from "./swarms.ts";

const gcInterval = 180;

storeConformance(
  "the plain store",
  ({ clock, peerLifetime, capacity = 100_000 }) =>
    new PlainStore({ peerLifetime, gcInterval, maxPeers: capacity }, clock, createRandom(1)),
  { capacity: true },
);
