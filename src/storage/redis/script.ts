/**
 * The announce step inside the engine, in Lua. The whole of it works on one key a torrent, a hash:
 *
 *     m          the torrent: snatches, end of the key, seeders and leechers of both families, partial seeds of
 *                both, pages of the four tables, salt; 8 x u32, 4 x u16, u32
 *     T page     one page of a table: T is 1 for IPv4 seeders, 2 for IPv4 leechers, 3 and 4 for IPv6;
 *                page is a u16
 *
 *     a page:    | due u32 | endpoint, endpoint, ... | stamp, stamp, ... | peer id, peer id, ... |
 *     endpoint:  address and port as in a compact list, 6 or 18 bytes
 *     stamp:     u32, (unix seconds of the announce - 1600000000) * 4 + 2 if it has completed + 1 if partial
 *     due:       unix seconds from which on the page is looked through for who has expired: when the first may have,
 *                and not within the seconds between sweeps after the last look
 *     salt:      odd, below 2^20; chooses the pages of endpoints, so that nobody can crowd one page on purpose
 *
 * Sorted sets would be the obvious choice. They cost several times as much: a member of a big one is an object of its
 * own that is behind several pointers, thirty of them for each answer; a page is one piece of memory, and a run of
 * peers leaves it in one piece. A table grows and shrinks by one page at a time (linear hashing); one with as many pages as a u16 counts has longer ones.
 *
 * All numbers are big-endian. A change of any of this is a new {@link layoutVersion}.
 */
export const layoutVersion = 2;

/** Peers in a page, on average, above which its table grows. */
export const pageTarget = 64;

/** What both scripts share: one torrent at a time, in upvalues; nothing is written before `save`. */
const common = `
local call, sub, find, byte, char, rep = redis.call, string.sub, string.find, string.byte, string.char, string.rep
local pack, unpk, rand, floor, frexp = struct.pack, struct.unpack, math.random, math.floor, math.frexp
local TARGET = ${pageTarget}
local META = '>I4I4I4I4I4I4I4I4I2I2I2I2I4'
local now, lifetime, gc, idLength, key, M, pages, changed, isChanged

local function field(T, i) return char(T, (i - i % 256) / 256, i % 256) end
local function lengthOf(T) return T < 3 and 6 or 18 end

local function hashOf(member)
  local h, salt = 0, M[13]
  for at = 1, #member - 2, 4 do
    h = (h + unpk('>I4', member, at)) % 4294967296 * salt % 4294967296
    h = (h + (h - h % 65536) / 65536) % 4294967296
  end
  h = (h + unpk('>I2', member, #member - 1)) % 4294967296 * salt % 4294967296
  return (h - h % 4096) / 4096
end

local function open(k, m)
  key, pages, changed, isChanged = k, {}, {}, false
  M = m and {unpk(META, m)} or {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, rand(0, 524287) * 2 + 1}
end

local function put(T, i, page)
  local f = field(T, i)
  pages[f], changed[f] = page, true
end

local function take(page, n, L, idx)
  local s, d = 4 + n * L, 4 + n * (L + 4)
  local id = idLength > 0 and sub(page, 1 + d + idx * idLength, d + (idx + 1) * idLength) or ''
  return sub(page, 1, 4 + idx * L) .. sub(page, 5 + (idx + 1) * L, s + idx * 4) .. sub(page, 5 + s + idx * 4, d + idx * idLength)
    .. sub(page, 1 + d + (idx + 1) * idLength), unpk('>I4', page, 1 + s + idx * 4), id
end

local function append(page, L, member, stamp, id)
  local n = (#page - 4) / (L + 4 + idLength)
  return sub(page, 1, 4 + n * L) .. member .. sub(page, 5 + n * L, 4 + n * (L + 4)) .. stamp .. sub(page, 5 + n * (L + 4)) .. id
end

-- Copies one entry of a page of n into lists of endpoints, stamps and peer ids.
local function copy(page, n, L, idx, to)
  local s, d, k = 4 + n * L, 4 + n * (L + 4), #to[1] + 1
  to[1][k] = sub(page, 5 + idx * L, 4 + (idx + 1) * L)
  to[2][k] = sub(page, 1 + s + idx * 4, 4 + s + idx * 4)
  to[3][k] = sub(page, 1 + d + idx * idLength, d + (idx + 1) * idLength)
end

-- The page of such lists.
local function build(due, from)
  if #from[1] == 0 then return '' end
  return due .. table.concat(from[1]) .. table.concat(from[2]) .. table.concat(from[3])
end

-- Drops who has expired. Returns the page and how many they were.
local function sweep(T, page)
  local L = lengthOf(T)
  local n = (#page - 4) / (L + 4 + idLength)
  local limit = (now - lifetime - 1600000000) * 4 + 3
  local stamps = {unpk('>' .. rep('I4', n), page, 5 + n * L)}
  local oldest, dropped = 4294967295, 0
  for idx = 1, n do
    local stamp = stamps[idx]
    if stamp <= limit then
      dropped = dropped + 1
      if stamp % 2 == 1 then M[T < 3 and 7 or 8] = M[T < 3 and 7 or 8] - 1 end
    elseif stamp < oldest then oldest = stamp end
  end
  M[2 + T] = M[2 + T] - dropped
  isChanged = isChanged or dropped > 0
  local due = floor(oldest / 4) + 1600000000 + lifetime
  if due < now + gc then due = now + gc end
  if dropped == 0 then return pack('>I4', due) .. sub(page, 5), 0 end
  local kept = {{}, {}, {}}
  for idx = 0, n - 1 do
    if stamps[idx + 1] > limit then copy(page, n, L, idx, kept) end
  end
  return build(pack('>I4', due), kept), dropped
end

local function load(T, i)
  local f = field(T, i)
  local page = pages[f]
  if page == nil then
    page = call('HGET', key, f) or ''
    pages[f] = page
  end
  if #page > 4 and unpk('>I4', page) <= now then
    page = sweep(T, page)
    put(T, i, page)
  end
  return page
end

local function powerOf(p) local _, e = frexp(p) return 2 ^ (e - 1) end

-- The hash of the announcer, once it is known.
local hash

local function pageOf(T, member)
  local p = M[8 + T]
  if p == 1 then return 0 end
  hash = hash or hashOf(member)
  local size = powerOf(p)
  local i = hash % (2 * size)
  if i >= p then i = hash % size end
  return i
end

local function locate(page, L, member)
  local at = find(page, member, 5, true)
  if not at then return nil end
  local last = 5 + ((#page - 4) / (L + 4 + idLength) - 1) * L
  while at and at <= last do
    if (at - 5) % L == 0 then return (at - 5) / L end
    at = find(page, member, at + 1, true)
  end
end

local function split(T)
  local p, L = M[8 + T], lengthOf(T)
  local size = powerOf(p)
  local page = load(T, p - size)
  local n = #page < 4 and 0 or (#page - 4) / (L + 4 + idLength)
  local two = {[p - size] = {{}, {}, {}}, [p] = {{}, {}, {}}}
  for idx = 0, n - 1 do
    copy(page, n, L, idx, two[hashOf(sub(page, 5 + idx * L, 4 + (idx + 1) * L)) % (2 * size)])
  end
  for i, to in pairs(two) do put(T, i, build(sub(page, 1, 4), to)) end
  M[8 + T] = p + 1
end

-- Takes back up to so many pages that are hardly used, so that a selection need not visit many.
local function shrink(T, most)
  local p, L = M[8 + T], lengthOf(T)
  for _ = 1, most do
    if p == 1 or M[2 + T] >= p * TARGET / 4 then break end
    p = p - 1
    local i = p - powerOf(p)
    local a, b = load(T, i), load(T, p)
    if #a > 4 and #b > 4 then
      local n, o = (#a - 4) / (L + 4 + idLength), (#b - 4) / (L + 4 + idLength)
      -- As numbers: text is compared by the engine's locale.
      local due = sub(unpk('>I4', a) < unpk('>I4', b) and a or b, 1, 4)
      a = due .. sub(a, 5, 4 + n * L) .. sub(b, 5, 4 + o * L) .. sub(a, 5 + n * L, 4 + n * (L + 4))
        .. sub(b, 5 + o * L, 4 + o * (L + 4)) .. sub(a, 5 + n * (L + 4)) .. sub(b, 5 + o * (L + 4))
    elseif #b > 4 then a = b end
    put(T, i, a)
    put(T, p, '')
    M[8 + T], isChanged = p, true
  end
end

-- The engine takes any command of a script that has written, also when its memory is full.
local function unlock(k) call('HDEL', k, '') end

-- Writes what has changed, in one command where nothing goes. First something that an engine refuses whose memory is full.
local function save()
  if not isChanged and not next(changed) then return end
  local ttl
  if M[3] + M[4] + M[5] + M[6] == 0 then
    if M[1] == 0 then
      call('HSET', key, 'm', '')
      call('DEL', key)
      return
    end
    ttl = lifetime
  elseif M[2] < now + 2 * lifetime then
    ttl = 3 * lifetime
  end
  if ttl then M[2], isChanged = now + ttl, true end
  if not isChanged then
    local f = next(changed)
    if not next(changed, f) and #pages[f] > 4 then call('HSET', key, f, pages[f]) return end
  end
  local args, gone, a, g = {'HSET', key}, {'HDEL', key}, 2, 2
  if isChanged then args[3], args[4], a = 'm', pack(META, unpack(M)), 4 end
  for f in pairs(changed) do
    local page = pages[f]
    if #page > 4 then args[a + 1], args[a + 2], a = f, page, a + 2 else g = g + 1 gone[g] = f end
    -- Lua has room for 8,000 values in a call.
    if a >= 1000 then call(unpack(args, 1, a)) a = 2 end
    if g >= 1000 then
      if a > 2 then call(unpack(args, 1, a)) a = 2 end
      call(unpack(gone, 1, g))
      g = 2
    end
  end
  if a > 2 then call(unpack(args, 1, a)) end
  if g > 2 then call(unpack(gone, 1, g)) end
  if ttl then call('EXPIRE', key, ttl) end
end
`;

/**
 * Does a batch of announces and scraped infohashes. ARGV: the batch, see `batch.ts`; the prefix of keys. Fails before
 * it has written anything where the engine is full; when it is told so it does all the rest, but adds no peers. Returns
 * one string, how many were left out and an answer for each record, in order:
 *
 *     | refused u16 |
 *     | seeders u32 | leechers u32 | other seeders u32 | other leechers u32 | partial u32 | snatches u32 |
 *     | own u16 | other u16 | lone u8 |
 *     | endpoints of the own family | their peer ids | endpoints of the other family | their peer ids |
 *
 * Seeders and leechers are those of the announcer's family, the other ones those of the other family; partial seeds
 * and snatches are the torrent's.
 */
export const announceScript: string = `${common}
local batch, prefix = ARGV[1], ARGV[2]
local seed, isFull, pos
now, lifetime, gc, seed, idLength, isFull, pos = unpk('>I4I4I4I4BB', batch)
isFull = isFull == 1
if isFull then unlock(KEYS[1] or prefix) end
math.randomseed(seed)
local FORMAT4, FORMAT6 = '>BBBBI2I2I2c20c6', '>BBBBI2I2I2c20c18'
local stampNow
local S4, L4, S6, L6 = field(1, 0), field(2, 0), field(3, 0), field(4, 0)
local out, o, refused = {''}, 1, 0

local function join(T, O, member, id, seeder, event)
  local L = lengthOf(T)
  local i = pageOf(T, member)
  local page = load(T, i)
  local idx = locate(page, L, member)
  local old, n = 0, 0
  if idx then
    n = (#page - 4) / (L + 4 + idLength)
    old = unpk('>I4', page, 5 + n * L + idx * 4)
  else
    local j = pageOf(O, member)
    local other = load(O, j)
    local at = M[2 + O] > 0 and locate(other, L, member)
    if isFull and not at then
      refused = refused + 1
      return
    end
    if at then
      other, old = take(other, (#other - 4) / (L + 4 + idLength), L, at)
      put(O, j, other)
      M[2 + O] = M[2 + O] - 1
      shrink(O, 4)
    end
    M[2 + T], isChanged = M[2 + T] + 1, true
  end
  local partial, snatched = (event == 4 and seeder == 0) and 1 or 0, floor(old / 2) % 2
  if partial ~= old % 2 then
    local c = T < 3 and 7 or 8
    M[c], isChanged = M[c] + partial - old % 2, true
  end
  if event == 1 and snatched == 0 then
    M[1], snatched, isChanged = M[1] + 1, 1, true
  end
  local stamp = stampNow + 2 * snatched + partial
  if not idx then
    local due = floor(stampNow / 4) + 1600000000 + (gc > lifetime and gc or lifetime)
    if #page < 4 or unpk('>I4', page) > due then page = pack('>I4', due) .. sub(page, 5) end
    put(T, i, append(page, L, member, pack('>I4', stamp), id))
    if M[2 + T] > M[8 + T] * TARGET and M[8 + T] < 65535 then split(T) end
  elseif stamp ~= old or idLength > 0 then
    local s = 4 + n * L + idx * 4
    page = sub(page, 1, s) .. pack('>I4', stamp) .. sub(page, s + 5)
    if idLength > 0 then
      local d = 4 + n * (L + 4) + idx * idLength
      page = sub(page, 1, d) .. id .. sub(page, d + idLength + 1)
    end
    put(T, i, page)
  end
end

-- Whether a table does not know the peer from this second or a later one.
local function isNewer(T, member)
  local L = lengthOf(T)
  local page = load(T, pageOf(T, member))
  local idx = locate(page, L, member)
  if not idx then return true end
  local n = (#page - 4) / (L + 4 + idLength)
  return unpk('>I4', page, 5 + n * L + idx * 4) < stampNow
end

local function leave(T, member)
  if M[2 + T] == 0 then return false end
  local L = lengthOf(T)
  local i = pageOf(T, member)
  local page, old = load(T, i)
  local idx = locate(page, L, member)
  if not idx then return false end
  page, old = take(page, (#page - 4) / (L + 4 + idLength), L, idx)
  put(T, i, page)
  M[2 + T], isChanged = M[2 + T] - 1, true
  if old % 2 == 1 then M[T < 3 and 7 or 8] = M[T < 3 and 7 or 8] - 1 end
  shrink(T, 4)
  return true
end

-- Pages beyond those wanted that a selection visits. Only where nearly all peers have expired at once do they not suffice; then
-- the table shrinks by as many.
local MOST = 256
-- Adds up to want peers of a table to the answer and to ids. Returns how many.
local ids, start, startT
local function collect(T, want, member)
  if want <= 0 or M[2 + T] == 0 then return 0 end
  local p, L, got = M[8 + T], lengthOf(T), 0
  local first = T == startT and start or p > 1 and rand(0, p - 1) or 0
  local own = member and pageOf(T, member)
  for k = 0, (p < MOST + want and p or MOST + want) - 1 do
    local i = (first + k) % p
    local page = load(T, i)
    local n = #page > 4 and (#page - 4) / (L + 4 + idLength) or 0
    if n > 0 then
      local idx = i == own and locate(page, L, member)
      if idx then page = take(page, n, L, idx) n = n - 1 end
      local need = want - got
      local d = 4 + n * (L + 4)
      if n <= need then
        o = o + 1
        out[o] = sub(page, 5, 4 + n * L)
        if idLength > 0 then ids[#ids + 1] = sub(page, d + 1) end
        got = got + n
      else
        local r = rand(0, n - 1)
        local e = r + need
        o = o + 1
        out[o] = e <= n and sub(page, 5 + r * L, 4 + e * L) or sub(page, 5 + r * L, 4 + n * L) .. sub(page, 5, 4 + (e - n) * L)
        if idLength > 0 then
          ids[#ids + 1] = e <= n and sub(page, 1 + d + r * idLength, d + e * idLength)
            or sub(page, 1 + d + r * idLength) .. sub(page, 1 + d, d + (e - n) * idLength)
        end
        got = want
      end
      if got == want then break end
    end
  end
  return got
end

local function flushIds()
  if idLength > 0 then o = o + 1 out[o] = table.concat(ids) end
end

local length = #batch
while pos <= length do
  local step, family, seeder, event, numWant, ownLimit, otherLimit, infoHash, member, id
  step, family, seeder, event, numWant, ownLimit, otherLimit, infoHash, member, pos =
    unpk(byte(batch, pos + 1) == 4 and FORMAT4 or FORMAT6, batch, pos)
  if idLength > 0 then id, pos = sub(batch, pos, pos + idLength - 1), pos + idLength else id = '' end
  local base = family == 4 and 0 or 2
  local k = prefix .. infoHash
  local isBig = event >= 16
  if isBig then event = event - 16 end
  local T, O = base + 2 - seeder, base + 1 + seeder
  local got
  startT, hash = 0, nil
  if step == 0 or isBig then got = {call('HGET', k, 'm')}
  elseif base == 0 then got = call('HMGET', k, 'm', S4, L4)
  else got = call('HMGET', k, 'm', S6, L6) end
  open(k, got[1])
  if step > 0 and isBig then
    -- The peer's own page, and the one that a selection begins with.
    startT = seeder == 0 and base + 1 or base + 2
    start = M[8 + startT] > 1 and rand(0, M[8 + startT] - 1) or 0
    local f, g = field(T, pageOf(T, member)), field(startT, start)
    local two = call('HMGET', k, f, g)
    pages[f], pages[g] = two[1] or '', two[2] or ''
  elseif step > 0 then
    pages[base == 0 and S4 or S6], pages[base == 0 and L4 or L6] = got[2] or '', got[3] or ''
  end
  stampNow = (now - 1600000000) * 4
  if step == 5 then
    local at = numWant * 65536 + ownLimit
    stampNow = (at - 1600000000) * 4
    step = (at > now - lifetime and isNewer(T, member) and isNewer(O, member)) and 1 or 0
  end
  if step % 2 == 1 then
    if event ~= 3 then join(T, O, member, id, seeder, event)
    elseif not leave(T, member) then leave(O, member) end
  end
  o = o + 1
  local head, own, other, lone = o, 0, 0, 0
  out[head] = ''
  if step >= 2 and event ~= 3 and numWant > 0 and (got[1] or step == 3) then
    ids = {}
    local want = numWant < ownLimit and numWant or ownLimit
    if seeder == 0 then own = collect(base + 1, want, member) end
    own = own + collect(base + 2, want - own, member)
    flushIds()
    want = numWant - own
    if want > otherLimit then want = otherLimit end
    ids = {}
    if want > 0 then
      if seeder == 0 then other = collect(3 - base, want) end
      other = other + collect(4 - base, want - other)
    end
    flushIds()
    if own + other < numWant then
      for each = 1, 4 do if M[8 + each] > 1 then shrink(each, MOST) end end
    end
    if own + other == 0 and M[3 + base] + M[4 + base] == 1 then
      local L = lengthOf(T)
      if step == 3 or locate(load(T, pageOf(T, member)), L, member) or locate(load(O, pageOf(O, member)), L, member) then lone = 1 end
    end
  end
  if step > 0 then save() end
  out[head] = pack('>I4I4I4I4I4I4I2I2B', M[3 + base], M[4 + base], M[5 - base], M[6 - base], M[7] + M[8], M[1], own, other, lone)
end
out[1] = pack('>I2', refused)
return table.concat(out)
`;

/**
 * Removes the expired peers of one torrent at once. KEYS: the torrent's key. ARGV: unix seconds, peer lifetime, bytes of
 * a peer id. Returns how many they were.
 */
export const expireScript: string = `${common}
now, lifetime, gc, idLength = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local m = call('HGET', KEYS[1], 'm')
if not m then return 0 end
open(KEYS[1], m)
local removed = 0
for T = 1, 4 do
  for i = 0, M[8 + T] - 1 do
    local f = field(T, i)
    local page, dropped = call('HGET', key, f) or '', 0
    if #page > 4 then
      page, dropped = sweep(T, page)
      if dropped > 0 then put(T, i, page) end
      removed = removed + dropped
    end
  end
  shrink(T, 65535)
end
if removed > 0 then
  unlock(key)
  save()
end
return removed
`;
