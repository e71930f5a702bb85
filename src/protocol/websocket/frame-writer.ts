import { unmask } from "./unmask.ts";

/** The kinds of frames (RFC 6455 §5.2). */
export const Opcode = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;
export type Opcode = (typeof Opcode)[keyof typeof Opcode];

/** Length of the longest header that {@link writeFrameHeader} writes. */
export const maxFrameHeader = 10;
/** Length of the key of a mask, which follows the header of {@link writeFrameHeader}. */
export const maskLength = 4;
/** Longest payload of a control frame. */
export const maxControlPayload = 125;

/** Returns the length of the header of an unmasked frame: 2, 4 or 10 bytes. */
export function frameHeaderLength(payloadLength: number): number {
  if (payloadLength < 126) return 2;
  return payloadLength < 65_536 ? 4 : 10;
}

/**
 * Writes the header of a final frame without a mask, as a server sends frames (RFC 6455 §5.2).
 * Shape: FIN and opcode u8 | length u8, or 126 and u16, or 127 and u64. The payload follows.
 * @returns the offset after the header. Never throws, never allocates.
 */
export function writeFrameHeader(out: Uint8Array, at: number, opcode: Opcode, length: number): number {
  out[at++] = 0x80 | opcode;
  if (length < 126) {
    out[at++] = length;
    return at;
  }
  if (length < 65_536) out[at++] = 126;
  else {
    out[at++] = 127;
    for (let i = 0; i < 4; i++) out[at++] = 0; // no frame is longer than 4 GiB
    out[at++] = length >>> 24;
    out[at++] = length >>> 16;
  }
  out[at++] = length >>> 8;
  out[at++] = length;
  return at;
}

/** Writes a whole control frame with the payload `from[start..end)`, at most 125 bytes. @returns the offset after it */
export function writeControlFrame(
  out: Uint8Array,
  at: number,
  opcode: Opcode,
  from: Uint8Array,
  start: number,
  end: number,
): number {
  at = writeFrameHeader(out, at, opcode, end - start);
  for (let i = start; i < end; i++) out[at++] = from[i]!;
  return at;
}

/** Writes a whole close frame without a text. @returns the offset after it, 4 bytes later */
export function writeCloseFrame(out: Uint8Array, at: number, code: number): number {
  at = writeFrameHeader(out, at, Opcode.close, 2);
  out[at++] = code >>> 8;
  out[at++] = code;
  return at;
}

/** Creates a whole frame with a mask, as a client sends frames (RFC 6455 §5.3). @param key  of the mask, 4 bytes */
export function createClientFrame(opcode: Opcode, payload: Uint8Array, key: Uint8Array): Uint8Array {
  const keyAt = frameHeaderLength(payload.length);
  const start = keyAt + maskLength;
  const frame = new Uint8Array(start + payload.length);
  writeFrameHeader(frame, 0, opcode, payload.length);
  frame[1]! |= 0x80; // there is a mask
  frame.set(key, keyAt);
  frame.set(payload, start);
  unmask(frame, start, frame.length, keyAt); // which also adds a mask
  return frame;
}
