import type { SwarmKind } from "../peer-store.ts";
import type { StoreTester } from "./store-tester.ts";

/** Assertions on one fresh, started store that belong together. */
export interface ConformanceGroup {
  readonly name: string;
  /** What the store must have for it: a limit on its peers, or peer ids. */
  readonly needs?: "capacity" | "peerIds";
  /** The group is about `PeerStore.records`, and is skipped for a store without them. */
  readonly ofRecords?: true;
  /** The kinds of peers that the group is for, if not all to which it can apply. */
  readonly kinds?: readonly SwarmKind[];
  /** @throws AssertionError where the store breaks the contract */
  run(tester: StoreTester, kind: SwarmKind): Promise<void>;
}

/** All kinds of peers. */
export const swarmKinds: readonly SwarmKind[] = [4, 6, "web"];

/** The kinds of peers with an address. */
export const addressKinds: readonly SwarmKind[] = [4, 6];

/** Returns the kinds of peers that a group is for. */
export function kindsOf(group: ConformanceGroup): readonly SwarmKind[] {
  const { kinds, ofRecords, needs } = group;
  // A web peer has no record and no stored peer id.
  return kinds ?? (ofRecords || needs === "peerIds" ? addressKinds : swarmKinds);
}

/** Announces as a seeder. */
export const seeding = { left: 0n } as const;
