import assert from "node:assert/strict";
import { test } from "node:test";
import { chooseNetworks } from "../../../test/support/chosen-networks.ts";
import { seededKeys } from "../../../test/support/seeded-keys.ts";
import { Address, networkKeys } from "../../ip/address.ts";
import { createRandom } from "../../lib/clock.ts";
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
    const random = createRandom(1);
    const chosen = chooseNetworks(Address.parse(victim), 64);
    const draws = 2000;
    let missed = 0;
    for (let draw = 0; draw < draws; draw++) {
      const limiter = new ErrorLimiter(seededKeys(networkKeys, random));
      for (const address of chosen) limiter.allows(address, 1);
      for (let n = 0; n < maxErrors; n++) if (!limiter.allows(Address.parse(victim), 1)) missed++;
    }
    // By chance a network shares the counter of the victim for one draw of 4,096; with the keys in use, for two at most.
    assert.ok(missed <= (3 / 4096) * draws * chosen.length, `${missed} errors missed in ${draws} draws`);
  });
}
