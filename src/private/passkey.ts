import { randomBytes } from "node:crypto";

/** Whether a text can be a passkey. */
export function isPasskey(text: string): boolean {
  return /^[A-Za-z\d]{32}$/.test(text);
}

/** Draws a passkey. */
export function createPasskey(): string {
  return randomBytes(16).toString("hex");
}
