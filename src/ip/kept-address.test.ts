import assert from "node:assert/strict";
import { test } from "node:test";
import { Address } from "./address.ts";
import { KeptAddress } from "./kept-address.ts";

test("a kept address is that of the time when it was made", () => {
  for (const text of ["255.255.255.255", "192.0.2.1", "2001:db8:ffff::7fff:ffff", "ffff::8000:0"]) {
    const address = Address.parse(text);
    const kept = new KeptAddress(address);
    address.copyFrom(Address.parse("::1"));
    const out = Address.parse("198.51.100.7");
    kept.copyTo(out);
    assert.equal(out.toString(), text);
    assert.equal(out.family, kept.family);
  }
});
