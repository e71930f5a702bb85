import { createHmac } from "node:crypto";

const prefix = "whsec_";
/** Bytes of a secret, as Standard Webhooks wants them. */
const [leastBytes, mostBytes] = [24, 64];

/** Returns the key of a secret in base64, which may begin with `whsec_`. @throws Error with the remedy, if it is none */
export function parseWebhookSecret(text: string): Buffer {
  const encoded = text.trim().startsWith(prefix) ? text.trim().slice(prefix.length) : text.trim();
  const key = /^[A-Za-z0-9+/]+={0,2}$/.test(encoded) ? Buffer.from(encoded, "base64") : Buffer.alloc(0);
  if (key.length < leastBytes || key.length > mostBytes)
    throw new Error(
      `not a secret: expected ${leastBytes} to ${mostBytes} bytes in base64, as "openssl rand -base64 32" makes them`,
    );
  return key;
}

/** Returns the headers of a request as Standard Webhooks 1.0 defines them. @param seconds  since 1970 */
export function signWebhook(key: Buffer, id: string, seconds: number, body: string): Record<string, string> {
  const signature = createHmac("sha256", key).update(`${id}.${seconds}.${body}`).digest("base64");
  return {
    "webhook-id": id,
    "webhook-timestamp": `${seconds}`,
    "webhook-signature": `v1,${signature}`,
  };
}
