import { describe, test } from "node:test";
import { accountingGroups } from "./conformance/accounting.ts";
import { type ConformanceGroup, kindsOf, swarmKinds } from "./conformance/group.ts";
import { membershipGroups } from "./conformance/membership.ts";
import { recordGroups } from "./conformance/records.ts";
import { selectionGroups } from "./conformance/selection.ts";
import { type ConformanceEnvironment, type CreateStore, StoreTester } from "./conformance/store-tester.ts";
import { webGroups } from "./conformance/web.ts";
import type { SwarmKind } from "./peer-store.ts";

export type { ConformanceGroup } from "./conformance/group.ts";
export type { ConformanceEnvironment, CreateStore } from "./conformance/store-tester.ts";

/** Features of a store beyond the minimum, and groups to skip. */
export interface ConformanceOptions {
  /** The store is created so that it keeps peer ids. */
  peerIds?: boolean;
  /** The store observes {@link ConformanceEnvironment.capacity}. */
  capacity?: boolean;
  /** Names of groups to skip, each with the reason. */
  skip?: Readonly<Record<string, string>>;
}

/** Every group of the suite. */
export const conformanceGroups: readonly ConformanceGroup[] = [
  ...membershipGroups,
  ...selectionGroups,
  ...accountingGroups,
  ...recordGroups,
  ...webGroups,
];

/**
 * Runs one group on a fresh store, which the function starts and stops.
 * @returns the reason for skipping the group, or undefined if the store keeps the contract
 * @throws AssertionError if the store breaks the contract; any error of the store
 */
export async function runConformanceGroup(
  group: ConformanceGroup,
  kind: SwarmKind,
  create: CreateStore,
): Promise<string | undefined> {
  const environment: ConformanceEnvironment = {
    clock: { seconds: 100_000, unixSeconds: 1_700_000_000 },
    peerLifetime: 1800,
    ...(group.needs === "capacity" ? { capacity: 32 } : {}),
  };
  const store = await create(environment);
  await store.start();
  try {
    if (group.ofRecords && store.records === undefined) return "the store has no records";
    if (kind === "web" && store.sweep === undefined) return "the store does not keep web peers";
    await group.run(new StoreTester(store, environment), kind);
    return undefined;
  } finally {
    await store.stop();
  }
}

/**
 * Declares tests (of `node:test`) that a store keeps the contract of `PeerStore`: each group of assertions for IPv4, IPv6
 * and web peers, on a fresh store each. Groups about records are skipped, with a reason, if the store has no `records`;
 * groups for web peers if the store has no `sweep`.
 *
 *     storeConformance("my store", ({ clock, peerLifetime }) => new MyStore(clock, { peerLifetime }));
 *
 * @param create   creates an empty store; the suite starts and stops the store, and advances the clock
 * @throws RangeError if `options.skip` names an unknown group
 */
export function storeConformance(name: string, create: CreateStore, options: ConformanceOptions = {}): void {
  const skip = options.skip ?? {};
  for (const skipped of Object.keys(skip)) {
    if (!conformanceGroups.some((group) => group.name === skipped)) {
      throw new RangeError(`no conformance group is called ${JSON.stringify(skipped)}`);
    }
  }
  describe(`${name}: store conformance`, () => {
    for (const kind of swarmKinds) {
      describe(kind === "web" ? "web peers" : `IPv${kind}`, () => {
        for (const group of conformanceGroups) {
          if (!kindsOf(group).includes(kind)) continue;
          if (group.needs !== undefined && options[group.needs] !== true) continue;
          const reason = skip[group.name] ?? false;
          test(group.name, { skip: reason }, async (t) => {
            const inapplicable = await runConformanceGroup(group, kind, create);
            if (inapplicable !== undefined) t.skip(inapplicable);
          });
        }
      });
    }
  });
}
