import type { Family } from "../../ip/address.ts";
import type { StoreTester } from "./store-tester.ts";

/** Assertions on one fresh, started store that belong together. */
export interface ConformanceGroup {
  readonly name: string;
  /** What the store must have for it: a limit on its peers, or peer ids. */
  readonly needs?: "capacity" | "peerIds";
  /** The group is about `PeerStore.records`, and is skipped for a store without them. */
  readonly ofRecords?: true;
  /** @throws AssertionError where the store breaks the contract */
  run(tester: StoreTester, family: Family): Promise<void>;
}

/** Announces as a seeder. */
export const seeding = { left: 0n } as const;
