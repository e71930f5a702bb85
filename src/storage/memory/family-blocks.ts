import type { SwarmKind } from "../peer-store.ts";
import { BlockAllocator } from "./allocator.ts";
import { peerWords, type StoreMemory, swarmLayouts } from "./layout.ts";
import { PeerBlocks } from "./peer-blocks.ts";
import { PeerIndex } from "./peer-index.ts";

/** The blocks of the swarms of one kind, in the memory of a store. */
export interface FamilyBlocks {
  readonly peers: Int32Array;
  /** Words of a peer. */
  readonly stride: number;
  /** Words of an address; the meta word of a peer follows them. */
  readonly addressWords: number;
  readonly allocator: BlockAllocator;
  readonly index: PeerIndex;
  readonly blocks: PeerBlocks;
}

/** @param records  the swarm records of the kind */
export function openFamilyBlocks(
  memory: StoreMemory,
  kind: SwarmKind,
  control: Int32Array,
  records: Int32Array,
  owner: number,
): FamilyBlocks {
  const { addressWords, arena, peers: peersKey, pages } = swarmLayouts[kind];
  const peers = new Int32Array(memory[peersKey]);
  const stride = peerWords(kind, memory);
  const allocator = new BlockAllocator(peers, new Int32Array(memory[pages]), control, arena, stride, owner);
  const index = new PeerIndex(peers, control, stride, addressWords, allocator);
  const blocks = new PeerBlocks(records, peers, stride, allocator, index);
  return { peers, stride, addressWords, allocator, index, blocks };
}
