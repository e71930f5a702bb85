import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { announceRequest, announceResponse } from "../../../test/support/requests.ts";
import { createRandom } from "../../lib/clock.ts";
import { RequestContext } from "../../middleware/hook.ts";
import { Entropy } from "./entropy.ts";
import { createIntervalVariation, type IntervalVariationOptions } from "./interval-variation.ts";

/**
 * Infohash, peer id, maximum; then the probability in 2^24ths and the seconds that follow. Computed with Python's
 * integers from the rule of Chihaya's pkg/random; the last five are made to carry, to wrap and to reach the signs.
 */
const vectors: [string, string, number, number, number][] = [
  ["3030303030303030303030303030303030303031", "2d5445535430312d3677664732776b3677574c63", 60, 16253757, 18],
  ["0000000000000000000000000000000000000000", "0000000000000000000000000000000000000000", 60, 0, 1],
  ["cc042553b04027c8865a2e7c2c5c4935b2e82f53", "1c9e59ec3b01cd04acf7c4d30000187be3cc415c", 60, 10376828, 50],
  ["fadb895542c26bdc1fefba3ba2e96120b51bec59", "4e89d81a2e6fb4be2578d245fd8511c1f4ad0b58", 1, 6253701, 1],
  ["50e76a5b58c8b97039c2e6dec1fd7132305c0ded", "867d5f8110f8aa79dd63d7440f21724264f10430", 7, 2078883, 6],
  [
    "bd81263325d981c081b7dae54480ef8c9b5c3db7",
    "c48feddbbcfee514f530ce8f7f2dccd98b6cc150",
    3600,
    7920839,
    1996,
  ],
  [
    "1b9ace969050f2baf7ca562e18fa9851822ae704",
    "f8a83777733bf93eb34ae0049a44813d40680a8b",
    2147483647,
    3406458,
    972519401,
  ],
  ["712abe4f092f4cdedfa3e213a49f82761715025b", "7ae5950930b38ee820ff459be4e6f1fa810cf022", 1000, 9875402, 5],
  ["75d5bfec42d8e913e2082062d05446a5b8c63459", "28b822c86a305c81483422d332785b863af9a1a9", 60, 2758721, 48],
  ["15356425ad84d73c0f0d8d73bb3789741a23ed10", "73e90f53021de474443c9fddd83aa804f3073d01", 1, 15405784, 1],
  ["83e48b6ef43ad6b70ba90ff2340a9ff11a427c68", "c3db334c0752f6ae2cb4e109ea362351755a0c7a", 7, 3239769, 2],
  [
    "04e3b46a46e2e0f308559ef8481613f4283a786b",
    "d156de5971b87822e752980164801eb23077ff12",
    3600,
    13530181,
    690,
  ],
  [
    "3a481cbbfb58384c2866654120f23e0f1b36abb5",
    "e00c9e8477276d7fc0c9ef7058cef20afc2f5bde",
    2147483647,
    4249060,
    151582856,
  ],
  [
    "db0c42fba4b6b83175e54aa8cf844dc0c25ac9b0",
    "bbb1a24640509fd147d95a19c4f14cc6955201c2",
    1000,
    8188552,
    750,
  ],
  ["ffffffffffffffffffffffffffffffffffffffff", "ffffffffffffffffffffffffffffffffffffffff", 60, 4, 59],
  ["8000000000000000000000000000000000000000", "0000000000000000000000000000000000000000", 60, 0, 37],
  [
    "8000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000",
    2147483647,
    0,
    2147467266,
  ],
  ["ffffffffffffffff000000000000000000000000", "0000000000000002000000000000000000000000", 97, 1, 21],
  ["ffffffffffffffff000000000000000000000000", "0000000000000000000000000000000000000000", 97, 1, 17],
];

function added(options: IntervalVariationOptions, infoHash: string, peerId: string): [number, number] {
  const response = announceResponse();
  response.reset(1800, 900);
  const hook = createIntervalVariation(options);
  const result = hook.handleAnnounce!(announceRequest(infoHash, peerId), response, new RequestContext());
  assert.equal(result, undefined);
  return [response.interval - 1800, response.minInterval - 900];
}

describe("interval variation", () => {
  test("probability and seconds follow Chihaya's rule", () => {
    for (const [infoHash, peerId, maxIncreaseDelta, probability, seconds] of vectors) {
      const why = `${infoHash} ${peerId}`;
      const entropy = new Entropy();
      entropy.seed(Buffer.from(infoHash, "hex"), Buffer.from(peerId, "hex"));
      assert.equal(entropy.bits24(), probability, why);

      const options = { maxIncreaseDelta, modifyMinInterval: true };
      const always = added({ ...options, modifyResponseProbability: 1 }, infoHash, peerId);
      assert.deepEqual(always, [seconds, seconds], why);
      const just = (probability + 1) / 2 ** 24;
      assert.deepEqual(added({ ...options, modifyResponseProbability: just }, infoHash, peerId), always, why);
      if (probability === 0) continue;
      const spared = probability / 2 ** 24;
      assert.deepEqual(
        added({ ...options, modifyResponseProbability: spared }, infoHash, peerId),
        [0, 0],
        why,
      );
    }
  });

  test("the minimum interval stays unless it is asked for", () => {
    const [infoHash, peerId, maxIncreaseDelta, , seconds] = vectors[0]!;
    const options = { maxIncreaseDelta, modifyResponseProbability: 1 };
    assert.deepEqual(added(options, infoHash, peerId), [seconds, 0]);
  });

  test("a second call of the hook gives the same interval", () => {
    const hook = createIntervalVariation({ modifyResponseProbability: 0.5, maxIncreaseDelta: 1000 });
    const twice = [0, 1].map(() =>
      vectors.map(([infoHash, peerId]) => {
        const response = announceResponse();
        hook.handleAnnounce!(announceRequest(infoHash, peerId), response, new RequestContext());
        return response.interval;
      }),
    );
    assert.deepEqual(twice[0], twice[1]);
    assert.ok(new Set(twice[0]).size > 3);
  });

  test("a long sequence stays on the track of 64-bit integers", () => {
    const random = createRandom(7);
    const bytes = () => Uint8Array.from({ length: 20 }, () => random.next());
    const mask = (1n << 64n) - 1n;
    for (let round = 0; round < 50; round++) {
      const values = [bytes(), bytes()] as const;
      const entropy = new Entropy();
      entropy.seed(...values);
      let [s0, s1] = values.map((value) => {
        const view = new DataView(value.buffer);
        return (view.getBigUint64(0) + view.getBigUint64(8)) & mask;
      }) as [bigint, bigint];
      for (let n = 0; n < 100; n++) {
        const output = BigInt.asIntN(64, s0 + s1);
        s0 ^= (s0 << 23n) & mask;
        [s0, s1] = [s1, s0 ^ s1 ^ (s0 >> 18n) ^ (s1 >> 5n)];
        const limit = 1 + ((random.next() >>> (n % 31)) % 0x80000000);
        const expected = (output < 0n ? -output : output) % BigInt(limit);
        assert.equal(BigInt(entropy.below(limit)), expected, `round ${round}, number ${n}, limit ${limit}`);
      }
    }
  });
});
