import type { HttpConnection } from "../../src/http/connection.ts";
import { Address } from "../../src/ip/address.ts";
import type { Network } from "../../src/net/network.ts";
import type { Connection, StreamHandler } from "../../src/net/stream.ts";

const anyAddress = Address.parse("192.0.2.1");

/** The client's side of a connection: what it has been sent, and whether that is all. One object serves one connection after another. */
export class FuzzConnection implements Connection {
  remote: Address = anyAddress;
  remotePort = 1;
  /** Bytes that the client has not taken; it takes all of them at a time. */
  pending = 0;
  isPaused = false;
  isOver = false;
  readonly sent: Uint8Array = new Uint8Array(4 * 1024 * 1024);
  sentLength = 0;
  /** Whether what is written waits until the client takes it. */
  isSlow = false;
  wrong: string | undefined;

  /** Begins the next connection, which is not slow. */
  begin(remote: Address = anyAddress): void {
    this.remote = remote;
    this.pending = this.sentLength = 0;
    this.isPaused = this.isOver = this.isSlow = false;
  }

  write(bytes: Uint8Array, start: number, end: number): void {
    if (this.isOver) this.wrong = "a response after the end";
    if (this.sentLength + end - start > this.sent.length) this.wrong = "more than 4 MB were sent";
    if (this.wrong !== undefined) return;
    this.sent.set(bytes.subarray(start, end), this.sentLength);
    this.sentLength += end - start;
    if (this.isSlow) this.pending += end - start;
  }
  pause(): void {
    this.isPaused = true;
  }
  resume(): void {
    this.isPaused = false;
  }
  end(): void {
    this.isOver = true;
  }
  destroy(): void {
    this.isOver = true;
  }
}

/** A listener without sockets: a target gives connections to its handler. */
export class FuzzListener {
  /** Undefined before the start. */
  handler: StreamHandler<HttpConnection> | undefined;

  readonly listen = ((options: { handler: StreamHandler<HttpConnection> }) => {
    this.handler = options.handler;
    return Promise.resolve({
      port: 6969,
      prepareTls: () => () => undefined,
      close: () => Promise.resolve(),
    });
  }) as unknown as Network["listenStream"];
}
