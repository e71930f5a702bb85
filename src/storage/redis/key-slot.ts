/** The number of slots for the keys of a cluster. */
const slotCount = 16_384;

/** CRC-16/XMODEM (polynomial 0x1021), by byte. */
const table: Uint16Array = Uint16Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 8;
  for (let bit = 0; bit < 8; bit++) crc = (crc << 1) ^ (crc & 0x8000 ? 0x1021 : 0);
  return crc;
});

/**
 * Returns the slot of a key: the checksum of the text between its first `{` and the next `}`, or of the whole key if
 * that text is empty or missing. Source: Redis cluster specification, "Hash tags".
 */
export function slotOf(key: Uint8Array): number {
  let [from, to] = [0, key.length];
  const open = key.indexOf(0x7b);
  const close = open < 0 ? -1 : key.indexOf(0x7d, open + 1);
  if (close > open + 1) [from, to] = [open + 1, close];
  let crc = 0;
  for (let i = from; i < to; i++) crc = ((crc << 8) & 0xffff) ^ table[(crc >> 8) ^ key[i]!]!;
  return crc % slotCount;
}
