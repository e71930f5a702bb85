import { commonScript } from "./script.ts";

/**
 * Returns the peers with an address of one cell of a torrent: the peers whose hash modulo the number of cells equals the cell. A peer
 * keeps its hash when tables grow or shrink and when its role changes, and the script reads all tables at the same
 * moment. KEYS: the torrent's key. ARGV: bytes of a tail, cells (a power of two), cell. Returns alternately the
 * number of a table and one of its pages, whole or reduced to the cell; an empty list for an unknown torrent.
 */
export const cellScript: string = `${commonScript}
tailLength = tonumber(ARGV[1])
local cells, cell = tonumber(ARGV[2]), tonumber(ARGV[3])
local m = call('HGET', KEYS[1], 'm')
if not m then return {} end
open(KEYS[1], m)
local found = {}
local function add(T, page)
  if page and #page > 4 then found[#found + 1], found[#found + 2] = T, page end
end
for T = 1, 4 do
  local p, L = M[11 + T], T < 3 and 6 or 18
  local size = powerOf(p)
  if M[2 + T] == 0 then
  elseif cells <= size then
    for i = cell, p - 1, cells do add(T, call('HGET', key, field(T, i))) end
  else
    local i = cell % (2 * size)
    if i >= p then i = cell % size end
    local page = call('HGET', key, field(T, i))
    local n, kept = page and (#page - 4) / (L + 4 + tailLength) or 0, {{}, {}, {}}
    for idx = 0, n - 1 do
      if hashOf(sub(page, 5 + idx * L, 4 + (idx + 1) * L), M[18], M[19]) % cells == cell then copy(page, n, L, idx, kept) end
    end
    add(T, build('....', kept))
  end
end
return found
`;

/**
 * Raises the snatches of a torrent to another store's number. KEYS: the torrent's key. ARGV: unix seconds, peer
 * lifetime, snatches, seconds that the clock may be ahead and behind, secret bytes.
 */
export const snatchesScript: string = `${commonScript}
now, lifetime, secret = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[6]
local skew = skewOf(tonumber(ARGV[4]), tonumber(ARGV[5]))
if skew then return skew end
open(KEYS[1], call('HGET', KEYS[1], 'm'))
local snatches = tonumber(ARGV[3])
if snatches > M[1] then
  M[1], isChanged = snatches, true
  save()
end
return M[1]
`;
