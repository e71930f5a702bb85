/** The reasons for which this side closes a WebSocket (RFC 6455 §7.4.1). */
export const CloseCode = {
  normal: 1000,
  goingAway: 1001,
  protocol: 1002,
  notUtf8: 1007,
  policy: 1008,
  tooLarge: 1009,
  overload: 1013,
} as const;
export type CloseCode = (typeof CloseCode)[keyof typeof CloseCode];

/** Says that the other side has sent no code. Never sent. */
export const noCode = 1005;

/** Returns whether the other side may send `code`: a registered code, or a code for applications (RFC 6455 §7.4). */
export function isCloseCode(code: number): boolean {
  if (code >= 3000) return code < 5000;
  return code >= 1000 && code <= 1014 && (code < 1004 || code > 1006);
}
