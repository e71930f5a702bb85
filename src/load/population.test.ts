import assert from "node:assert/strict";
import { test } from "node:test";
import { Population } from "./population.ts";

const shape = { torrents: 10_000, peers: 100_000 };

function infoHash(population: Population, torrent: number): string {
  const bytes = Buffer.alloc(20);
  population.writeInfoHash(torrent, new DataView(bytes.buffer, bytes.byteOffset), 0);
  return bytes.toString("hex");
}

test("a peer has the same torrent in every population of its shape", () => {
  const one = new Population(shape);
  const other = new Population({ ...shape });
  for (let peer = 0; peer < 1000; peer++) {
    assert.equal(one.torrentOf(peer), other.torrentOf(peer));
    assert.equal(one.isSeeder(peer), other.isSeeder(peer));
  }
  assert.equal(infoHash(one, 17), infoHash(other, 17));
});

test("every torrent has an infohash of its own", () => {
  const population = new Population(shape);
  const seen = new Set(Array.from({ length: shape.torrents }, (_, torrent) => infoHash(population, torrent)));
  assert.equal(seen.size, shape.torrents);
});

test("few torrents have most peers, and a quarter of the peers are seeders", () => {
  const population = new Population(shape);
  const peers = new Uint32Array(shape.torrents);
  let seeders = 0;
  for (let peer = 0; peer < shape.peers; peer++) {
    const torrent = population.torrentOf(peer);
    assert.ok(torrent < shape.torrents);
    peers[torrent]!++;
    if (population.isSeeder(peer)) seeders++;
  }
  const hot = peers.subarray(0, 140).reduce((sum, count) => sum + count, 0) / shape.peers;
  assert.ok(Math.abs(hot - 0.73) < 0.01, `${hot}`);
  assert.ok(peers.subarray(0, 140).every((count) => count > 300));
  assert.ok(peers.filter((count) => count === 0).length < 1000);
  assert.ok(Math.abs(seeders / shape.peers - 0.25) < 0.01);
});

test("a single torrent has all peers", () => {
  const population = new Population({ torrents: 1, peers: 10 });
  for (let peer = 0; peer < 10; peer++) assert.equal(population.torrentOf(peer), 0);
});
