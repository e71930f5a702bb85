import { peerIdLength } from "../../bittorrent/info-hash.ts";
import type { PeerShape } from "../memory/layout.ts";

/**
 * The announce step inside Redis, in Lua. A torrent is one key, a hash:
 *
 *     m          the torrent: snatches, end of the key, seeders and leechers of both families, partial seeds of
 *                both, pages of the four tables, salt; 8 x u32, 4 x u16, 8 bytes. Only a torrent with web peers has
 *                more: their seeders, leechers and partial seeds, and the pages of their tables; 3 x u32, 2 x u16
 *     T page     one page of a table: T is 1 for IPv4 seeders, 2 for IPv4 leechers, 3 and 4 for IPv6, 5 and 6 for
 *                web peers; page is a u16
 *
 *     a page:    | due u32 | endpoint, endpoint, ... | stamp, stamp, ... | tail, tail, ... |
 *     endpoint:  address and port as in a compact list, 6 or 18 bytes; of a web peer the number of its tracker u32,
 *                the handle of its socket u32 and the generation u16
 *     stamp:     u32, (unix seconds of the announce - 1600000000) * 4 + 2 if it has completed + 1 if partial
 *     tail:      the user u32 in a private tracker, 0 for none; the peer id, if the store keeps peer ids
 *     due:       unix seconds from which on the page is searched for expired peers: when the first may have expired,
 *                and at least the seconds between sweeps after the last search
 *     salt:      key of the hash that chooses the page of an endpoint. Each torrent has its own, which no client can know.
 *
 * Sorted sets would be the obvious choice. They cost several times as much: a member of a big one is an object of its
 * own that is behind several pointers, thirty of them for each response; a page is one piece of memory, and a run of
 * peers leaves it in one piece. A table grows and shrinks by one page at a time (linear hashing).
 *
 * No page holds more than {@link pageCapacity} peers, whatever is announced. A client can learn from responses which
 * endpoints share a page, and announce more of those, so a secret salt is not enough: a page beyond its capacity loses
 * its oldest peer. So no announce can make a later one cost more than the bounds in this file allow.
 *
 * What a key holds is checked where it is read. A key that this script cannot have written makes the script fail, and
 * `RedisStore` deletes the key.
 *
 * All numbers are big-endian. A change of any of this is a new {@link layoutVersion}.
 */
export const layoutVersion = 3;

/** Bytes of a user. */
export const userLength = 4;

/** Returns how many bytes a page has of each peer behind the stamps: of its user and of its peer id. */
export function tailLength({ peerIds, tags = false }: PeerShape): number {
  return (tags ? userLength : 0) + (peerIds ? peerIdLength : 0);
}

/** Peers in a page, on average, above which its table grows. */
export const pageTarget = 40;

/** Maximum peers in a page. At random, one page in 10^30 has more than four times the average. */
export const pageCapacity = 512;

/** The unix seconds of stamp 0. */
export const firstStampSeconds = 1_600_000_000;

/** Bytes of the field `m`, and what follows for a torrent with web peers. */
export const metaLength = 48;
export const webMetaLength = 16;
/** Bytes of the endpoint of a web peer. */
export const webEndpointLength = 10;

/** The part that all scripts share. It keeps one torrent at a time in upvalues, and writes each page at once. */
export const commonScript: string = `
local call, sub, find, byte, char, rep = redis.call, string.sub, string.find, string.byte, string.char, string.rep
local pack, unpk, rand, floor, frexp = struct.pack, struct.unpack, math.random, math.floor, math.frexp
local sha1 = redis.sha1hex
local TARGET, CAPACITY = ${pageTarget}, ${pageCapacity}
local META, WEB = '>I4I4I4I4I4I4I4I4I2I2I2I2I4I4', '>I4I4I4I2I2'
local now, lifetime, gc, tailLength, secret, key, isChanged
-- The numbers of the field m: snatches, end, peers of each table (from 3), partial seeds (from 9), pages of each table
-- (from 12), salt (18 and 19).
local M = {}
-- The page of each table that was used last, and its number.
local INDEX, PAGE, FIELD = {}, {}, {}
-- Bytes of an endpoint and of a peer in each table, and most bytes of peers in a page of any. A peer has tailLength bytes
-- behind the stamps.
local LENGTH, STRIDE, FULL = {6, 6, 18, 18, ${webEndpointLength}, ${webEndpointLength}}
-- Where M counts the partial seeds of each table.
local PARTIAL = {9, 9, 10, 10, 11, 11}
-- Unix seconds after which no page can be due.
local lastDue

-- The first page of each table, which for most torrents is the only one.
local FIRST = {}
for T = 1, 6 do FIRST[T] = char(T, 0, 0) end

local function field(T, i)
  if i == 0 then return FIRST[T] end
  return char(T, (i - i % 256) / 256, i % 256)
end

local function measure()
  STRIDE = {}
  for T = 1, 6 do STRIDE[T] = LENGTH[T] + 4 + tailLength end
  FULL, lastDue = CAPACITY * STRIDE[4], now + lifetime + gc
end

local function fail(what) error('the key does not hold a torrent: ' .. what, 0) end

local function open(k, m)
  key, isChanged = k, false
  for T = 1, 6 do INDEX[T] = -1 end
  if not m then
    local salt = sha1(secret .. k)
    M = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, tonumber(sub(salt, 1, 8), 16), tonumber(sub(salt, 9, 16), 16)}
    return
  end
  if #m ~= ${metaLength} and #m ~= ${metaLength + webMetaLength} then fail('m has ' .. #m .. ' bytes') end
  local snatches, ends, s4, l4, s6, l6, p4, p6, a, b, c, d, one, two = unpk(META, m)
  M = {snatches, ends, s4, l4, s6, l6, 0, 0, p4, p6, 0, a, b, c, d, 1, 1, one, two}
  if #m > ${metaLength} then M[7], M[8], M[11], M[16], M[17] = unpk(WEB, m, ${metaLength + 1}) end
end

-- The field m of the torrent, in two parts. The second one is empty without web peers.
local function metaOf()
  local m = pack(META, M[1], M[2], M[3], M[4], M[5], M[6], M[9], M[10], M[12], M[13], M[14], M[15], M[18], M[19])
  if M[7] + M[8] == 0 then return m, '' end
  return m, pack(WEB, M[7], M[8], M[11], M[16], M[17])
end

-- Writes a page. First something that a Redis with full memory refuses, since it takes any command of a script that has
-- written.
local function put(T, i, page)
  local f = i == INDEX[T] and FIELD[T] or field(T, i)
  INDEX[T], PAGE[T], FIELD[T] = i, page, f
  call('HSET', key, f, page)
  if #page < 5 then call('HDEL', key, f) end
end

-- Whether the tracker's clock differs from that of Redis by more than its configuration allows: then nothing is written.
local function skewOf(ahead, behind)
  if ahead == 0 then return end
  local skew = now - call('TIME')[1]
  if skew > ahead or -skew > behind then return redis.error_reply('SKEW ' .. skew) end
end

-- Redis takes any command of a script that has written, also when its memory is full.
local function unlock(k) redis.pcall('HDEL', k, '') end

-- Writes the numbers of the torrent if they have changed, and when the key ends.
local function save()
  local isEmpty = M[3] + M[4] + M[5] + M[6] + M[7] + M[8] == 0
  if not isChanged and (isEmpty or M[2] >= now + 2 * lifetime) then return end
  if M[9] > M[3] + M[4] or M[10] > M[5] + M[6] or M[11] > M[7] + M[8] then fail('more partial seeds than peers') end
  if isEmpty and M[1] == 0 then
    call('HSET', key, 'm', '')
    call('DEL', key)
    return
  end
  local ttl
  if isEmpty then ttl = lifetime elseif M[2] < now + 2 * lifetime then ttl = 3 * lifetime end
  if ttl then M[2] = now + ttl end
  local m, web = metaOf()
  call('HSET', key, 'm', m .. web)
  if ttl then call('EXPIRE', key, ttl) end
end

-- Removes entry idx of a page of n. Returns the page, the stamp and the tail.
local function take(page, n, L, idx)
  local s, d = 4 + n * L, 4 + n * (L + 4)
  local tail = tailLength > 0 and sub(page, 1 + d + idx * tailLength, d + (idx + 1) * tailLength) or ''
  return sub(page, 1, 4 + idx * L) .. sub(page, 5 + (idx + 1) * L, s + idx * 4) .. sub(page, 5 + s + idx * 4, d + idx * tailLength)
    .. sub(page, 1 + d + (idx + 1) * tailLength), unpk('>I4', page, 1 + s + idx * 4), tail
end

-- Takes note that a peer with this stamp has left a table.
local function forget(T, stamp)
  local partial = PARTIAL[T]
  M[2 + T], M[partial], isChanged = M[2 + T] - 1, M[partial] - stamp % 2, true
  if M[2 + T] < 0 or M[partial] < 0 then fail('more peers than are counted') end
end

local function append(page, L, member, stamp, tail)
  local n = (#page - 4) / (L + 4 + tailLength)
  return sub(page, 1, 4 + n * L) .. member .. sub(page, 5 + n * L, 4 + n * (L + 4)) .. stamp .. sub(page, 5 + n * (L + 4)) .. tail
end

-- Copies one entry of a page of n into lists of endpoints, stamps and tails.
local function copy(page, n, L, idx, to)
  local s, d, k = 4 + n * L, 4 + n * (L + 4), #to[1] + 1
  to[1][k] = sub(page, 5 + idx * L, 4 + (idx + 1) * L)
  to[2][k] = sub(page, 1 + s + idx * 4, 4 + s + idx * 4)
  to[3][k] = sub(page, 1 + d + idx * tailLength, d + (idx + 1) * tailLength)
end

-- The page of such lists.
local function build(due, from)
  if #from[1] == 0 then return '' end
  return due .. table.concat(from[1]) .. table.concat(from[2]) .. table.concat(from[3])
end

-- The stamps of a page of n, which are at most twice what a page may hold: Lua has room for 8,000.
local function stampsOf(page, n, L) return {unpk('>' .. rep('I4', n), page, 5 + n * L)} end

-- Drops the oldest peers of a page until it is not over its capacity.
local function bound(T, page)
  local L = LENGTH[T]
  for n = (#page - 4) / STRIDE[T], CAPACITY + 1, -1 do
    local stamps, oldest, old = stampsOf(page, n, L), 1
    for idx = 2, n do if stamps[idx] < stamps[oldest] then oldest = idx end end
    page, old = take(page, n, L, oldest - 1)
    forget(T, old)
  end
  return page
end

-- Drops who has expired, and stamps that no tracker can have written. Returns the page and how many they were.
local function sweep(T, page)
  local L, n = LENGTH[T], (#page - 4) / STRIDE[T]
  local limit, last = (now - lifetime - 1600000000) * 4 + 3, (now + lifetime - 1600000000) * 4 + 3
  local stamps = stampsOf(page, n, L)
  local oldest, dropped = 4294967295, 0
  for idx = 1, n do
    local stamp = stamps[idx]
    if stamp <= limit or stamp > last then
      dropped = dropped + 1
      forget(T, stamp)
    elseif stamp < oldest then oldest = stamp end
  end
  local due = floor(oldest / 4) + 1600000000 + lifetime
  if due < now + gc then due = now + gc end
  if dropped == 0 then return pack('>I4', due) .. sub(page, 5), 0 end
  local kept = {{}, {}, {}}
  for idx = 0, n - 1 do
    local stamp = stamps[idx + 1]
    if stamp > limit and stamp <= last then copy(page, n, L, idx, kept) end
  end
  return build(pack('>I4', due), kept), dropped
end

-- Reads a page and checks it. A table of one page has all its peers there.
local function read(T, i)
  local f, most = field(T, i), M[2 + T] * STRIDE[T]
  local page = call('HGET', key, f) or ''
  local length = #page > 0 and #page - 4 or 0
  if length ~= most and (M[11 + T] < 2 or length > most or length % STRIDE[T] > 0) or length > FULL then
    fail('a page has ' .. length .. ' bytes, ' .. M[2 + T] .. ' peers are counted in ' .. M[11 + T] .. ' pages')
  end
  INDEX[T], PAGE[T], FIELD[T] = i, page, f
  return page
end

-- Reads a page without its expired peers, if it is due.
local function load(T, i)
  if INDEX[T] == i then return PAGE[T] end
  local page = read(T, i)
  if #page > 4 then
    local due = unpk('>I4', page)
    if due <= now or due > lastDue then
      page = sweep(T, page)
      put(T, i, page)
    end
  end
  return page
end

-- The square of a sum of products: each 24 bits of an endpoint have a multiplier of their own, from the 64 bits of the
-- salt. All is modulo a prime below 2^26, so that no number is above 2^53. Without the square, rows of endpoints would be
-- rows of hashes.
local PRIME = 67108859
local function hashOf(member, one, two)
  local h = (one - one % 67108864) / 1048576 + (two - two % 67108864) / 67108864
  one, two = one % PRIME, two % PRIME
  if #member == 6 then
    local a, b = unpk('>I3I3', member)
    h = (h + a * one + b * two) % PRIME
  elseif #member == ${webEndpointLength} then
    local a, b, c, d = unpk('>I3I3I2I2', member)
    local three = (one * two + 1) % PRIME
    h = (h + a * one + b * two + c * three + d * ((two * three + 1) % PRIME)) % PRIME
  else
    local a, b, c, d, e, f = unpk('>I3I3I3I3I3I3', member)
    local three = (one * two + 1) % PRIME
    local four = (two * three + 1) % PRIME
    local five = (three * four + 1) % PRIME
    h = (h + a * one + b * two + c * three + d * four + e * five + f * ((four * five + 1) % PRIME)) % PRIME
  end
  return h * h % PRIME
end

-- The hash of the announcer, once it is known.
local hash

-- The greatest power of two that is not above p.
local function powerOf(p) return p / (2 * frexp(p)) end

-- The page of a hash in a table of p pages.
local function place(h, p)
  local size = powerOf(p)
  local i = h % (2 * size)
  if i >= p then return h % size end
  return i
end

local function pageOf(T, member)
  if M[11 + T] == 1 then return 0 end
  hash = hash or hashOf(member, M[18], M[19])
  return place(hash, M[11 + T])
end

local function locate(page, L, member)
  local at = find(page, member, 5, true)
  if not at then return nil end
  local last = 5 + ((#page - 4) / (L + 4 + tailLength) - 1) * L
  while at and at <= last do
    if (at - 5) % L == 0 then return (at - 5) / L end
    at = find(page, member, at + 1, true)
  end
end

local function split(T)
  local p, L = M[11 + T], LENGTH[T]
  local size = powerOf(p)
  local page = load(T, p - size)
  local n = #page < 4 and 0 or (#page - 4) / STRIDE[T]
  local two = {[p - size] = {{}, {}, {}}, [p] = {{}, {}, {}}}
  for idx = 0, n - 1 do
    copy(page, n, L, idx, two[hashOf(sub(page, 5 + idx * L, 4 + (idx + 1) * L), M[18], M[19]) % (2 * size)])
  end
  for i, to in pairs(two) do put(T, i, build(sub(page, 1, 4), to)) end
  M[11 + T], isChanged = p + 1, true
end

-- Takes back up to so many pages that are hardly used, so that a selection need not visit many.
local function shrink(T, most)
  local p, L = M[11 + T], LENGTH[T]
  for _ = 1, most do
    if p == 1 or M[2 + T] >= p * TARGET / 4 then break end
    p = p - 1
    local i = p - powerOf(p)
    local a, b = load(T, i), load(T, p)
    if #b > 4 then
      if #a > 4 then
        local n, o = (#a - 4) / STRIDE[T], (#b - 4) / STRIDE[T]
        -- As numbers: Redis compares text by its locale.
        local due = sub(unpk('>I4', a) < unpk('>I4', b) and a or b, 1, 4)
        a = due .. sub(a, 5, 4 + n * L) .. sub(b, 5, 4 + o * L) .. sub(a, 5 + n * L, 4 + n * (L + 4))
          .. sub(b, 5 + o * L, 4 + o * (L + 4)) .. sub(a, 5 + n * (L + 4)) .. sub(b, 5 + o * (L + 4))
        a = bound(T, a)
      else a = b end
      put(T, p, '')
      put(T, i, a)
    end
    M[11 + T], isChanged = p, true
  end
end
`;

/**
 * Does a batch of announces and scraped infohashes. ARGV: the batch, see `batch.ts`; the prefix of keys. Fails before
 * it has written anything where Redis has no memory left; where the batch says so it does all the rest, but adds no
 * peers. Fails with `SKEW <seconds>` before anything else where the clock of the tracker is ahead (or, with a minus,
 * behind) by more than the batch allows. Returns one string, how many peers were left out and a response for each
 * record, in order:
 *
 *     | refused u16 |
 *     | the field m of the torrent, 48 bytes | own u16 | other u16 | flags u8 | the rest of m if it has web peers, 16 bytes |
 *     | endpoints of the own kind | their tails | endpoints of the other family | their tails |
 *
 * Only a store with peer ids returns tails. Flags: 1 if the announcer is the only peer of its swarm, and neither a web peer
 * nor a user of a private tracker; 2 if the torrent has web peers.
 */
export const announceScript: string = `${commonScript}
local batch, prefix = ARGV[1], ARGV[2]
local seed, isFull, ahead, behind, pos
now, lifetime, gc, seed, secret, tailLength, isFull, ahead, behind, pos = unpk('>I4I4I4I4c16BBI4I4', batch)
local skew = skewOf(ahead, behind)
if skew then return skew end
measure()
isFull = isFull == 1
if isFull then unlock(KEYS[1] or prefix) end
math.randomseed(seed)
local FORMAT = {[4] = '>BBBBI2I2I2c20c6', [6] = '>BBBBI2I2I2c20c18', [0] = '>BBBBI2I2I2c20c${webEndpointLength}'}
local out, o, refused = {''}, 1, 0
-- The second of the announce, and its stamps by their flags.
local second, STAMP
local function date(at)
  second, STAMP = at, {}
  for flags = 0, 3 do STAMP[flags] = pack('>I4', (at - 1600000000) * 4 + flags) end
end
-- The user of the announcer; false for none.
local user
local keepsUsers, keepsIds, NOBODY = tailLength % ${peerIdLength} > 0, tailLength >= ${peerIdLength}, rep(char(0), ${userLength})
-- Whether the record of a replay says that the peer has completed. Its snatch is counted already.
local isSnatched

-- The tail of a known peer. A replay names no user, and does not change the user of the peer.
local function renew(tail, before)
  if user or not keepsUsers then return tail end
  return sub(before, 1, ${userLength}) .. sub(tail, ${userLength + 1})
end

local function join(T, O, member, tail, seeder, event)
  local L, i = LENGTH[T], pageOf(T, member)
  local page = load(T, i)
  local idx, n, old = locate(page, L, member), 0, 0
  if idx then
    n = (#page - 4) / STRIDE[T]
    old = byte(page, 8 + n * L + idx * 4) % 4
  else
    local j = pageOf(O, member)
    local other = load(O, j)
    local at = M[2 + O] > 0 and locate(other, L, member)
    if isFull and not at then
      refused = refused + 1
      return
    end
    if at then
      local before
      other, old, before = take(other, (#other - 4) / STRIDE[O], L, at)
      old, tail = old % 4, renew(tail, before)
      put(O, j, other)
      M[2 + O] = M[2 + O] - 1
      shrink(O, 4)
    end
    M[2 + T], isChanged = M[2 + T] + 1, true
  end
  local flags = old - old % 2 + ((event == 4 and seeder == 0) and 1 or 0)
  if flags ~= old then
    local c = PARTIAL[T]
    M[c], isChanged = M[c] + flags - old, true
  end
  if flags < 2 and (event == 1 or isSnatched) then
    flags = flags + 2
    if not isSnatched then M[1], isChanged = M[1] + 1, true end
  end
  if not idx then
    local due = second + (gc > lifetime and gc or lifetime)
    if #page < 4 or unpk('>I4', page) > due then page = pack('>I4', due) .. sub(page, 5) end
    page = append(page, L, member, STAMP[flags], tail)
    if #page > 4 + CAPACITY * STRIDE[T] then page = bound(T, page) end
    put(T, i, page)
    if M[2 + T] > M[11 + T] * TARGET and M[11 + T] < 65535 then split(T) end
  else
    local s, d = 4 + n * L + idx * 4, 4 + n * (L + 4) + idx * tailLength
    if tailLength == 0 then page = sub(page, 1, s) .. STAMP[flags] .. sub(page, s + 5)
    else
      page = sub(page, 1, s) .. STAMP[flags] .. sub(page, s + 5, d) .. renew(tail, sub(page, d + 1, d + tailLength))
        .. sub(page, d + tailLength + 1)
    end
    put(T, i, page)
  end
end

-- Whether a table does not know the peer from this second or a later one.
local function isNewer(T, member)
  local L = LENGTH[T]
  local page = load(T, pageOf(T, member))
  local idx = locate(page, L, member)
  if not idx then return true end
  local n = (#page - 4) / STRIDE[T]
  return unpk('>I4', page, 5 + n * L + idx * 4) < (second - 1600000000) * 4
end

-- Remembers of a peer that is in a table that it has completed.
local function markSnatched(T, member)
  if M[2 + T] == 0 then return end
  local L = LENGTH[T]
  local i = pageOf(T, member)
  local page = load(T, i)
  local idx = locate(page, L, member)
  if not idx then return end
  local s = 4 + (#page - 4) / STRIDE[T] * L + idx * 4
  local stamp = unpk('>I4', page, 1 + s)
  if floor(stamp / 2) % 2 == 0 then put(T, i, sub(page, 1, s) .. pack('>I4', stamp + 2) .. sub(page, s + 5)) end
end

local function leave(T, member)
  if M[2 + T] == 0 then return false end
  local L = LENGTH[T]
  local i = pageOf(T, member)
  local page, old = load(T, i)
  local idx = locate(page, L, member)
  if not idx then return false end
  page, old = take(page, (#page - 4) / STRIDE[T], L, idx)
  put(T, i, page)
  forget(T, old)
  shrink(T, 4)
  return true
end

-- The most of n entries that are wanted, from entry r on, as if the first entry followed the last. They begin at a byte.
local function cut(from, at, size, n, r, want)
  if n <= want then return sub(from, at, at + n * size - 1) end
  local e = r + want
  if e <= n then return sub(from, at + r * size, at + e * size - 1) end
  return sub(from, at + r * size, at + n * size - 1) .. sub(from, at, at + (e - n) * size - 1)
end

-- Pages beyond those wanted that a selection visits. Only where nearly all peers have expired at once do they not suffice; then
-- the table shrinks by as many.
local MOST = 256
-- The entries of a page of n that are not of the announcer's own user, as a page without stamps, and their number. Tails
-- begin behind byte d.
local function others(page, n, L, d)
  local endpoints, rest, k = {}, {}, 0
  for idx = 0, n - 1 do
    local tail = sub(page, 1 + d + idx * tailLength, d + (idx + 1) * tailLength)
    if sub(tail, 1, ${userLength}) ~= user then
      k = k + 1
      endpoints[k], rest[k] = sub(page, 5 + idx * L, 4 + (idx + 1) * L), tail
    end
  end
  return sub(page, 1, 4) .. table.concat(endpoints) .. table.concat(rest), k
end

-- Adds up to want peers of a table to the response and to tails, without the member and without peers of the announcer's
-- own user. Gives up after many of the latter. Returns how many.
local tails
local function collect(T, want, member)
  if want <= 0 or M[2 + T] == 0 then return 0 end
  local p, L, got, seen, left = M[11 + T], LENGTH[T], 0, 0, 8 * want + 1024
  local i, own = p > 1 and rand(0, p - 1) or 0, member and pageOf(T, member)
  local visits = p < MOST + want and p or MOST + want
  for k = 1, visits do
    local page = load(T, i)
    local n = #page > 4 and (#page - 4) / STRIDE[T] or 0
    seen = seen + n
    if n > 0 then
      local idx = i == own and locate(page, L, member)
      local need, d = want - got, 4 + n * (L + 4)
      if idx then
        -- Without the announcer, and without the stamps: Lua hashes every byte of a new string.
        local rest = sub(page, 1, 4 + idx * L) .. sub(page, 5 + (idx + 1) * L, 4 + n * L)
        if tailLength > 0 then rest = rest .. sub(page, 1 + d, d + idx * tailLength) .. sub(page, 1 + d + (idx + 1) * tailLength) end
        page, n = rest, n - 1
        d = 4 + n * L
      end
      if user and find(page, user, 1 + d, true) then
        left = left - n
        page, n = others(page, n, L, d)
        left, d = left + n, 4 + n * L
      end
      local r = n > need and rand(0, n - 1) or 0
      o = o + 1
      out[o] = cut(page, 5, L, n, r, need)
      if keepsIds then tails[#tails + 1] = cut(page, 1 + d, tailLength, n, r, need) end
      got = got + (n > need and need or n)
      if got == want or left < 0 then return got end
    end
    i = i + 1
    if i == p then i = 0 end
  end
  if visits == p and seen ~= M[2 + T] then fail('pages and the number of peers do not fit') end
  return got
end

local function flushTails()
  o = o + 1
  out[o], tails = table.concat(tails), {}
end

-- Adds the peers for an announcer. Returns how many of each family there are, and 1 if it is the only peer of its swarm.
local function select(base, T, O, step, seeder, numWant, ownLimit, otherLimit, member)
  -- After its announce, the peer is not in the table of the other role.
  local elsewhere = step == 2 and member or nil
  if keepsIds then tails = {} end
  local own, other, want = 0, 0, numWant < ownLimit and numWant or ownLimit
  if seeder == 0 then own = collect(O, want, elsewhere) end
  if own < want then own = own + collect(base + 2, want - own, (T == base + 2) and member or elsewhere) end
  if base == 4 and seeder == 1 and own < want then own = own + collect(5, want - own, member) end
  if keepsIds then flushTails() end
  want = numWant - own
  if want > otherLimit then want = otherLimit end
  if want > 0 then
    if seeder == 0 then other = collect(3 - base, want) end
    other = other + collect(4 - base, want - other)
  end
  if keepsIds then flushTails() end
  if own + other == numWant then return own, other, 0 end
  for each = 1, 6 do if M[11 + each] > 1 then shrink(each, MOST) end end
  if own + other > 0 or base == 4 or user or M[3 + base] + M[4 + base] ~= 1 then return own, other, 0 end
  local L = LENGTH[T]
  if step == 3 or locate(load(T, pageOf(T, member)), L, member) or locate(load(O, pageOf(O, member)), L, member) then
    return 0, 0, 1
  end
  return 0, 0, 0
end

-- What follows the field m in a response without peers of the other family, by the number of peers.
local TAIL = {}

-- Reads and checks a page that is not due. Returns the page and the number of its peers.
local function peek(k, f, L, pages, peers)
  local page = call('HGET', k, f)
  if not page or #page < 5 then return end
  local n, due = (#page - 4) / (L + 4 + tailLength), unpk('>I4', page)
  if n % 1 == 0 and n <= peers and n <= CAPACITY and (pages > 1 or n == peers) and due > now and due <= lastDue then return page, n end
end

-- Does the announce of a peer that keeps its role and flags, in a torrent whose key need not live longer: nearly every
-- announce. The functions above take half as long again. Where there is more to do, returns nothing and has written
-- nothing.
local function refresh(k, m, base, seeder, event, numWant, ownLimit, otherLimit, member, tail)
  local _, ends, n, c, n6, c6, _, _, p, q, p6, q6, one, two = unpk(META, m)
  local L, others = 6, n6 + c6
  if base > 0 then L, others, n, c, p, q = 18, n + c, n6, c6, p6, q6 end
  -- Table T of the peer has n peers and p pages, table S from which it wants peers has c and q.
  local T, S = base + 1, base + 2
  if seeder == 0 then T, S, n, c, p, q = S, T, c, n, q, p end
  if ends < now + 2 * lifetime or n == 0 then return end
  local f = p > 1 and field(T, place(hashOf(member, one, two), p)) or FIRST[T]
  local page, size = peek(k, f, L, p, n)
  local idx = page and locate(page, L, member)
  if not idx then return end
  local s = 4 + size * L + idx * 4
  local flags = byte(page, s + 4) % 4
  if event == 1 and flags < 2 or flags % 2 ~= ((event == 4 and seeder == 0) and 1 or 0) then return end
  -- The peer's own user begins behind byte u.
  local u = 4 + size * (L + 4) + idx * tailLength
  if keepsUsers and sub(page, u + 1, u + tailLength) ~= tail then return end
  local at, want, got, lone = o + 2, numWant < ownLimit and numWant or ownLimit, 0, 0
  if numWant > 0 then
    if c > 0 then
      local i = q > 1 and rand(0, q - 1) or 0
      for _ = 1, q < 4 and q or 4 do
        if got == want then break end
        local from, number = peek(k, field(S, i), L, q, c)
        if not from or user and find(from, user, 5 + number * (L + 4), true) then return end
        local need = want - got
        at = at + 1
        out[at] = cut(from, 5, L, number, number > need and rand(0, number - 1) or 0, need)
        got = got + (number > need and need or number)
        i = i + 1 < q and i + 1 or 0
      end
    end
    if got < want and seeder == 0 and p == 1 and n > 1 then
      if user and (find(page, user, 5 + n * (L + 4), true) ~= u + 1 or find(page, user, u + 2, true)) then return end
      local need, rest = want - got, sub(page, 5, 4 + idx * L) .. sub(page, 5 + (idx + 1) * L, 4 + n * L)
      at = at + 1
      out[at] = cut(rest, 1, L, n - 1, n - 1 > need and rand(0, n - 2) or 0, need)
      got = got + (n - 1 > need and need or n - 1)
    end
    if got < want and (p > 1 or q > 1) or got < numWant and others > 0 and otherLimit > 0 then return end
    if got == 0 and n + c == 1 and not user then lone = 1 end
  end
  call('HSET', k, f, sub(page, 1, s) .. STAMP[flags] .. sub(page, s + 5))
  TAIL[got] = TAIL[got] or pack('>I2I2B', got, 0, 0)
  out[o + 1], out[o + 2], o = m, lone == 0 and TAIL[got] or pack('>I2I2B', 0, 0, 1), at
  return true
end

local length = #batch
while pos <= length do
  local step, family, seeder, event, numWant, ownLimit, otherLimit, infoHash, member, tail
  step, family, seeder, event, numWant, ownLimit, otherLimit, infoHash, member, pos =
    unpk(FORMAT[byte(batch, pos + 1)], batch, pos)
  if tailLength > 0 then tail, pos = sub(batch, pos, pos + tailLength - 1), pos + tailLength else tail = '' end
  user = keepsUsers and sub(tail, 1, ${userLength}) ~= NOBODY and sub(tail, 1, ${userLength})
  local base = family == 4 and 0 or family == 6 and 2 or 4
  local T, O = base + 2 - seeder, base + 1 + seeder
  local k = prefix .. infoHash
  local m = call('HGET', k, 'm')
  if second ~= now then date(now) end
  if not (m and #m == ${metaLength} and base < 4 and (step == 1 or step == 3) and event ~= 3 and not keepsIds
    and refresh(k, m, base, seeder, event, step == 3 and numWant or 0, ownLimit, otherLimit, member, tail)) then
    open(k, m)
    hash, isSnatched = nil, false
    if step == 5 then
      local at = numWant * 65536 + ownLimit
      date(at < now and at or now)
      isSnatched = otherLimit == 1
      local isKnown = not isNewer(T, member) or not isNewer(O, member)
      step = (at > now - lifetime and not isKnown) and 1 or 0
      if isKnown and isSnatched then
        markSnatched(T, member)
        markSnatched(O, member)
      end
    end
    if step % 2 == 1 then
      if event ~= 3 then join(T, O, member, tail, seeder, event)
      elseif not leave(T, member) then leave(O, member) end
    end
    local head, own, other, lone = o + 1, 0, 0, 0
    out[head], o = '', o + 2
    if step >= 2 and event ~= 3 and numWant > 0 and (m or step == 3) then
      own, other, lone = select(base, T, O, step, seeder, numWant, ownLimit, otherLimit, member)
    end
    if step > 0 then save() end
    local torrent, web
    if isChanged or not m then torrent, web = metaOf() else torrent, web = sub(m, 1, ${metaLength}), sub(m, ${metaLength + 1}) end
    out[head], out[head + 1] = torrent, pack('>I2I2B', own, other, #web > 0 and lone + 2 or lone) .. web
  end
end
out[1] = pack('>I2', refused)
return table.concat(out, '', 1, o)
`;

/** Pages that one call of {@link expireScript} searches: about ten milliseconds of Redis. */
const expireStep = 512;

/**
 * Removes the expired peers of one torrent, {@link expireStep} pages at a time. KEYS: the torrent's key. ARGV: unix
 * seconds, peer lifetime, seconds between sweeps, bytes of a tail, seconds that the clock may be ahead and behind,
 * and what the call before has returned behind its first number; `1 65535` for the first call.
 * Returns how many peers were removed, and the table and page where the next call begins; table 7 is the end.
 */
export const expireScript: string = `${commonScript}
now, lifetime, gc, tailLength = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local skew = skewOf(tonumber(ARGV[5]), tonumber(ARGV[6]))
if skew then return skew end
measure()
local T, i = tonumber(ARGV[7]), tonumber(ARGV[8])
local m = call('HGET', KEYS[1], 'm')
if not m then return {0, 7, 0} end
open(KEYS[1], m)
unlock(KEYS[1])
local function peers() return M[3] + M[4] + M[5] + M[6] + M[7] + M[8] end
local before, left = peers(), ${expireStep}
while T < 7 do
  -- From the last page down: a page that goes is added to one before it.
  if i >= M[11 + T] then i = M[11 + T] - 1 end
  while i >= 0 and left > 0 do
    local page, dropped = read(T, i), 0
    if #page > 4 then page, dropped = sweep(T, page) end
    if dropped > 0 then put(T, i, page) end
    i, left = i - 1, left - 1
  end
  shrink(T, ${expireStep})
  if i >= 0 then break end
  T, i = T + 1, 65535
end
local removed = before - peers()
if isChanged then save() end
return {removed, T, i}
`;

/** Pages that one call of {@link sweepScript} searches. */
const sweepStep = 256;

/**
 * Removes web peers of one torrent whose sockets are gone, {@link sweepStep} pages at a time. KEYS: the torrent's key. ARGV:
 * unix seconds, peer lifetime, seconds between sweeps, bytes of a tail, the number of the tracker, the worker or -1
 * for all, and what the call before has returned behind its first number; `5 65535` for the first call.
 * Returns how many peers were removed, and the table and page where the next call begins; table 7 is the end.
 */
export const sweepScript: string = `${commonScript}
now, lifetime, gc, tailLength = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
measure()
local tracker, worker, T, i = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local m = call('HGET', KEYS[1], 'm')
if not m or #m == ${metaLength} then return {0, 7, 0} end
open(KEYS[1], m)
unlock(KEYS[1])
local before, left, L = M[7] + M[8], ${sweepStep}, ${webEndpointLength}
while T < 7 do
  -- From the last page down: a page that goes is added to one before it.
  if i >= M[11 + T] then i = M[11 + T] - 1 end
  while i >= 0 and left > 0 do
    local page = load(T, i)
    local n, kept = #page > 4 and (#page - 4) / STRIDE[T] or 0, {{}, {}, {}}
    for idx = 0, n - 1 do
      local of, first = unpk('>I4B', page, 5 + idx * L)
      if of == tracker and (worker < 0 or floor(first / 4) == worker) then forget(T, unpk('>I4', page, 5 + n * L + idx * 4))
      else copy(page, n, L, idx, kept) end
    end
    if #kept[1] < n then put(T, i, build(sub(page, 1, 4), kept)) end
    i, left = i - 1, left - 1
  end
  shrink(T, ${sweepStep})
  if i >= 0 then break end
  T, i = T + 1, 65535
end
local removed = before - M[7] - M[8]
if isChanged then save() end
return {removed, T, i}
`;
