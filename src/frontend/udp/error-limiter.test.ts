import assert from "node:assert/strict";
import { test } from "node:test";
import { chooseNetworks } from "../../../test/support/chosen-networks.ts";
import { Address } from "../../ip/address.ts";
import { ErrorLimiter, maxErrors } from "./error-limiter.ts";

test("an address gets so many errors a second", () => {
  const limiter = new ErrorLimiter();
  const allowed = (second: number) =>
    Array.from({ length: 1000 }, () => limiter.allows(Address.parse("192.0.2.1"), second));
  const expected = Array.from({ length: 1000 }, (_, n) => n < maxErrors);
  assert.deepEqual(allowed(1), expected);
  assert.deepEqual(allowed(2), expected);
});

for (const victim of ["192.0.2.1", "2001:db8:1:2::1"]) {
  test(`nobody can choose networks that use up the errors of ${victim}`, () => {
    const limiter = new ErrorLimiter();
    const chosen = chooseNetworks(Address.parse(victim), 64);
    for (const address of chosen) limiter.allows(address, 1);
    // By chance one of 4,096 counters is shared with the victim.
    const left = Array.from({ length: maxErrors }, () => limiter.allows(Address.parse(victim), 1));
    assert.ok(left.filter(Boolean).length > maxErrors / 2, `${left.filter(Boolean).length} errors left`);
  });
}
