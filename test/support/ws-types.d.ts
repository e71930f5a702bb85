/** The part of ws that the tests use; it has no types of its own. */
declare module "ws" {
  import type { Duplex, Writable } from "node:stream";

  export interface SendOptions {
    readonly fin: boolean;
    readonly binary: boolean;
    readonly mask: boolean;
    readonly compress: boolean;
  }

  /** Writes frames. */
  export class Sender {
    constructor(socket: Duplex);
    send(data: Uint8Array, options: SendOptions): void;
    ping(data: Uint8Array, mask: boolean): void;
    pong(data: Uint8Array, mask: boolean): void;
    close(code: number, data: string, mask: boolean): void;
  }

  /** Reads frames. Emits "message", "ping", "pong" and "conclude", or "error" with `Symbol(status-code)`. */
  export class Receiver extends Writable {
    constructor(options: { isServer: boolean; maxPayload?: number; allowSynchronousEvents?: boolean });
  }
}
