import { createHmac } from "node:crypto";
import { Field, type Records, recordWords } from "../record.ts";
import { hashedFamily } from "./batch.ts";

/** What a record keeps of the address of its peer. */
export interface AddressPolicy {
  readonly storeIps: "none" | "hashed" | "plain";
  /** Of the hash, in hexadecimal; "" if addresses are not hashed. */
  readonly key: string;
}

/** Replaces the address of a record by what the policy allows. */
export function hideAddress({ storeIps, key }: AddressPolicy, block: Records, index: number): void {
  if (storeIps === "plain") return;
  const address = block.address(index);
  const isHashed = storeIps === "hashed";
  if (isHashed) {
    const hash = createHmac("sha256", Buffer.from(key, "hex")).update(address).digest();
    address.set(hash.subarray(0, 16));
  } else address.fill(0);
  const at = index * recordWords + Field.what;
  block.words[at] = (block.words[at]! & ~0xff00) | ((isHashed ? hashedFamily : 0) << 8);
}
