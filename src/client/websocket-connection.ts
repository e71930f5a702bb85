import { randomBytes } from "node:crypto";
import type { Socket } from "node:net";
import { createClientFrame, maskLength, Opcode } from "../protocol/websocket/frame-writer.ts";
import { acceptKey } from "../protocol/websocket/handshake.ts";
import type { Transport } from "./exchange.ts";
import { openRequest, toTrackerError } from "./open-request.ts";
import { TrackerError } from "./tracker-error.ts";

/** Maximum length of a message in bytes. */
const maxMessageLength = 1 << 20;
/** For this many milliseconds, a connection waits for the tracker's close frame. */
const closeTimeoutMs = 1000;

/** The client side of a WebSocket (RFC 6455) that carries texts. */
export class WebSocketConnection {
  readonly #socket: Socket;
  readonly #messages: string[] = [];
  #waiting: PromiseWithResolvers<string> | undefined;
  #error: TrackerError | undefined;
  /** Received bytes that no frame has taken yet. */
  #bytes: Buffer = Buffer.alloc(0);
  /** The payloads of an unfinished message. */
  #fragments: Buffer[] = [];

  /**
   * Connects to `url` (`ws:` or `wss:`).
   * @throws TrackerError (the promise rejects) if the tracker is not there or refuses the WebSocket
   */
  static open(url: URL, transport: Transport): Promise<WebSocketConnection> {
    const { promise, resolve, reject } = Promise.withResolvers<WebSocketConnection>();
    const key = randomBytes(16).toString("base64");
    const request = openRequest(url, `${url.pathname}${url.search}`, transport, {
      Connection: "Upgrade",
      Upgrade: "websocket",
      "Sec-WebSocket-Key": key,
      "Sec-WebSocket-Version": "13",
    });
    request.on("error", (error) => reject(toTrackerError(error)));
    request.on("response", (response) => {
      response.destroy();
      reject(malformed(`HTTP status ${response.statusCode} instead of a WebSocket`));
    });
    request.on("upgrade", (response, socket, head) => {
      if (response.headers["sec-websocket-accept"] !== acceptKey(key)) {
        socket.destroy();
        reject(malformed("a wrong Sec-WebSocket-Accept"));
        return;
      }
      resolve(new WebSocketConnection(socket as Socket, head, transport.signal));
    });
    request.end();
    return promise;
  }

  private constructor(socket: Socket, head: Buffer, signal: AbortSignal) {
    this.#socket = socket;
    const abort = () => socket.destroy(new TrackerError("timeout", "aborted", { cause: signal.reason }));
    signal.addEventListener("abort", abort, { once: true });
    socket.on("error", (error) => this.#fail(toTrackerError(error)));
    socket.on("end", () => this.#fail(new TrackerError("unreachable", "the tracker closed the connection")));
    socket.on("close", () => {
      signal.removeEventListener("abort", abort);
      this.#fail(new TrackerError("unreachable", "the connection is closed"));
    });
    socket.on("data", (chunk: Buffer) => this.#receive(chunk));
    if (head.length > 0) this.#receive(head);
  }

  /** Sends a text. */
  send(text: string): void {
    this.#write(Opcode.text, Buffer.from(text));
  }

  /** Returns the next message. Only one caller may wait at a time. @throws TrackerError after the end of the connection */
  receive(): Promise<string> {
    const message = this.#messages.shift();
    if (message !== undefined) return Promise.resolve(message);
    if (this.#error !== undefined) return Promise.reject(this.#error);
    this.#waiting = Promise.withResolvers();
    return this.#waiting.promise;
  }

  /** Closes the connection, and waits until the tracker has closed its side. */
  async close(): Promise<void> {
    if (this.#socket.destroyed) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#socket.once("close", () => resolve());
    this.#write(Opcode.close, Buffer.of(0x03, 0xe8));
    const timer = setTimeout(() => this.#socket.destroy(), closeTimeoutMs);
    await promise;
    clearTimeout(timer);
  }

  #write(opcode: Opcode, payload: Buffer): void {
    this.#socket.write(createClientFrame(opcode, payload, randomBytes(maskLength)));
  }

  #receive(chunk: Buffer): void {
    this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk]);
    while (this.#error === undefined && this.#takeFrame());
  }

  /** Takes the first frame off the received bytes. @returns whether a whole frame was there */
  #takeFrame(): boolean {
    const bytes = this.#bytes;
    if (bytes.length < 2) return false;
    const marker = bytes[1]! & 0x7f;
    const head = marker < 126 ? 2 : marker === 126 ? 4 : 10;
    if (bytes.length < head) return false;
    const length =
      marker < 126 ? marker : marker === 126 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2));
    if ((bytes[1]! & 0x80) !== 0) return this.#break("a masked frame");
    if (length > maxMessageLength) return this.#break(`longer than ${maxMessageLength} bytes`);
    if (bytes.length < head + length) return false;
    this.#bytes = bytes.subarray(head + length);
    this.#takePayload(bytes[0]!, bytes.subarray(head, head + length));
    return true;
  }

  #takePayload(first: number, payload: Buffer): void {
    const opcode = first & 0x0f;
    if (opcode === Opcode.ping) this.#write(Opcode.pong, payload);
    else if (opcode === Opcode.close) this.#takeClose(payload);
    else if (opcode === Opcode.text || opcode === Opcode.binary || opcode === Opcode.continuation) {
      this.#fragments.push(payload);
      if (this.#fragments.reduce((sum, { length }) => sum + length, 0) > maxMessageLength) {
        this.#break(`longer than ${maxMessageLength} bytes`);
      } else if ((first & 0x80) !== 0) {
        this.#deliver(Buffer.concat(this.#fragments.splice(0)).toString());
      }
    }
  }

  #takeClose(payload: Buffer): void {
    const code = payload.length < 2 ? "without a code" : `with code ${payload.readUInt16BE(0)}`;
    const reason = payload.length > 2 ? `: ${payload.toString("utf8", 2)}` : "";
    this.#fail(new TrackerError("unreachable", `the tracker closed the WebSocket ${code}${reason}`));
    if (this.#socket.writable) this.#write(Opcode.close, payload.subarray(0, 2));
    this.#socket.end();
  }

  #deliver(message: string): void {
    if (this.#waiting === undefined) this.#messages.push(message);
    else this.#waiting.resolve(message);
    this.#waiting = undefined;
  }

  #break(what: string): false {
    this.#fail(malformed(what));
    this.#socket.destroy();
    return false;
  }

  #fail(error: TrackerError): void {
    this.#error ??= error;
    this.#waiting?.reject(this.#error);
    this.#waiting = undefined;
  }
}

function malformed(what: string): TrackerError {
  return new TrackerError("malformed", `malformed response: ${what}`);
}
