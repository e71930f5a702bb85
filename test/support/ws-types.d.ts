/** The part of ws that the tests use; it has no types of its own. */
declare module "ws" {
  import type { EventEmitter } from "node:events";
  import type { IncomingMessage } from "node:http";
  import type { AddressInfo } from "node:net";
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

  /** One side of a WebSocket. */
  export class WebSocket extends EventEmitter<{ message: [Buffer]; close: [code: number] }> {
    send(text: string, options?: { fin: boolean }): void;
    ping(text: string): void;
    close(code: number, reason: string): void;
    terminate(): void;
  }

  export class WebSocketServer extends EventEmitter<{
    connection: [WebSocket, IncomingMessage];
    listening: [];
  }> {
    readonly clients: ReadonlySet<WebSocket>;
    constructor(options: { host: string; port: number });
    address(): AddressInfo;
    close(): void;
  }
}
