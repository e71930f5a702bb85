import { once } from "node:events";
import { connect, type Socket } from "node:net";
import type { TestContext } from "node:test";
import { Opcode } from "../../src/protocol/websocket/frame-writer.ts";

const key = "dGhlIHNhbXBsZSBub25jZQ==";

/** The headers of a handshake. */
export const handshakeHeaders: Readonly<Record<string, string>> = {
  Host: "tracker.example",
  Upgrade: "websocket",
  Connection: "Upgrade",
  "Sec-WebSocket-Version": "13",
  "Sec-WebSocket-Key": key,
};

/** The head of a request for a WebSocket. A header with the value undefined is left out. */
export function handshake(
  path = "/announce",
  headers: Readonly<Record<string, string | undefined>> = {},
): string {
  const lines = Object.entries({ ...handshakeHeaders, ...headers }).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}: ${value}`],
  );
  return `GET ${path} HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n`;
}

/** Encodes a frame of a client. */
export function clientFrame(
  payload: string | Uint8Array,
  opcode: number = Opcode.text,
  isFinal = true,
): Buffer {
  const data = Buffer.from(payload as Uint8Array);
  const mask = [1, 2, 3, 4];
  const length = data.length < 126 ? [data.length] : [126, data.length >> 8, data.length & 255];
  for (let i = 0; i < data.length; i++) data[i]! ^= mask[i % 4]!;
  const head = [(isFinal ? 0x80 : 0) | opcode, 0x80 | length[0]!, ...length.slice(1), ...mask];
  return Buffer.concat([Buffer.from(head), data]);
}

/** A WebSocket client that sends what the test wants, and reads frames of at most 65,535 bytes. */
export class WebClient {
  readonly socket: Socket;
  /** The head of the response to the handshake, and what follows it if that is no WebSocket. */
  head = "";
  /** The code of the close frame that came; 0 without one. */
  closeCode = 0;
  pings = 0;
  pongs: string[] = [];
  #bytes = Buffer.alloc(0);
  readonly #messages: unknown[] = [];
  #isOver = false;
  #wake: (() => void)[] = [];

  constructor(t: TestContext, port: number, host = "127.0.0.1") {
    this.socket = connect(port, host);
    t.after(() => this.socket.destroy());
    this.socket.on("error", () => undefined); // a reset is an end
    this.socket.on("data", (chunk) => {
      this.#bytes = Buffer.concat([this.#bytes, chunk]);
      this.#read();
      this.#notify();
    });
    this.socket.on("close", () => {
      this.#isOver = true;
      this.#notify();
    });
  }

  /** Opens a WebSocket. @throws Error if the tracker refuses it */
  static async open(
    t: TestContext,
    port: number,
    path?: string,
    headers?: Readonly<Record<string, string | undefined>>,
    before = "",
  ): Promise<WebClient> {
    const client = new WebClient(t, port);
    client.socket.write(before + handshake(path, headers));
    await client.until(() => client.head.includes("\r\n\r\n"));
    if (!client.head.startsWith("HTTP/1.1 101 ")) throw new Error(client.head);
    return client;
  }

  /** Sends a handshake and returns the whole response that refuses it. */
  static async refused(
    t: TestContext,
    port: number,
    path?: string,
    headers?: Readonly<Record<string, string | undefined>>,
  ): Promise<string> {
    const client = new WebClient(t, port);
    client.socket.write(handshake(path, headers));
    await client.ended();
    return client.head + client.#bytes.toString("latin1");
  }

  send(message: unknown): void {
    this.socket.write(clientFrame(JSON.stringify(message)));
  }

  /** Returns the next message; undefined if the connection ends before. */
  async next(): Promise<Record<string, unknown> | undefined> {
    await this.until(() => this.#messages.length > 0).catch(() => undefined);
    return this.#messages.shift() as Record<string, unknown> | undefined;
  }

  /** Sends a message and returns the next one that comes. */
  request(message: unknown): Promise<Record<string, unknown> | undefined> {
    this.send(message);
    return this.next();
  }

  /** Waits for a round trip, and returns the messages that came meanwhile. */
  async flush(): Promise<unknown[]> {
    const label = `flush ${this.pongs.length}`;
    this.socket.write(clientFrame(label, Opcode.ping));
    await this.until(() => this.pongs.includes(label));
    return this.#messages.splice(0);
  }

  async ended(): Promise<void> {
    await this.until(() => this.#isOver).catch(() => undefined);
  }

  /** Waits until something is so. @throws Error if the connection ends before */
  async until(isSo: () => boolean): Promise<void> {
    while (!isSo()) {
      if (this.#isOver) throw new Error(`the connection has ended: ${this.head}`);
      await new Promise<void>((resolve) => this.#wake.push(resolve));
    }
  }

  /** Closes the connection without a close frame. */
  async reset(): Promise<void> {
    this.socket.resetAndDestroy();
    if (!this.socket.closed) await once(this.socket, "close");
  }

  #notify(): void {
    for (const wake of this.#wake.splice(0)) wake();
  }

  #read(): void {
    if (this.head === "") {
      const end = this.#bytes.indexOf("\r\n\r\n");
      if (end < 0) return;
      this.head = this.#bytes.toString("latin1", 0, end + 4);
      this.#bytes = this.#bytes.subarray(end + 4);
    }
    if (!this.head.startsWith("HTTP/1.1 101 ")) return;
    for (;;) {
      const bytes = this.#bytes;
      if (bytes.length < 2) return;
      const isLong = bytes[1] === 126;
      const start = isLong ? 4 : 2;
      if (bytes.length < start) return;
      const end = start + (isLong ? bytes.readUInt16BE(2) : bytes[1]!);
      if (bytes.length < end) return;
      this.#take(bytes[0]!, bytes.subarray(start, end));
      this.#bytes = bytes.subarray(end);
    }
  }

  #take(first: number, payload: Buffer): void {
    const opcode = first & 15;
    if (opcode === Opcode.text) this.#messages.push(JSON.parse(payload.toString()));
    else if (opcode === Opcode.ping) this.pings++;
    else if (opcode === Opcode.pong) this.pongs.push(payload.toString());
    else if (opcode === Opcode.close) {
      this.closeCode = payload.readUInt16BE(0);
      this.socket.end(clientFrame(payload, Opcode.close));
    }
  }
}
