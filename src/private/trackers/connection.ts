import { createHash } from "node:crypto";
import type { ConnectionOptions, TLSSocket, TlsOptions } from "node:tls";
import type { DirectoryChange } from "../directory-records.ts";

/** Bytes of the largest frame. */
const largestFrame = 64 << 20;
const headBytes = 5;
const identity = "chihaya";

/** The kinds of frames. All but records and tables are JSON. */
export const Frame = { hello: 1, welcome: 2, records: 3, ack: 4, table: 5, publish: 6, change: 7 } as const;

/** First frame of a further tracker. */
export interface Hello {
  version: number;
  /** Of the tracker's journal. */
  instance: string;
}

/** First frame of the tracker with the accounts. */
export interface Welcome {
  version: number;
  /** The last record of the further tracker that the accounts know. */
  position: number;
  storeIps: "none" | "hashed" | "plain";
  ipKey: string;
}

/** Version of the frames, and of the records in them. */
export const protocolVersion = 1;

/**
 * Frames in both directions over one socket: length u32, kind u8, payload. The socket encrypts, and both ends know the secret: TLS with
 * a pre-shared key.
 */
export class FrameConnection {
  readonly #socket: TLSSocket;
  #chunks: Buffer[] = [];
  #size = 0;

  /**
   * @param onFrame  an error that it throws closes the connection
   * @param onClose  called once, with the reason
   */
  constructor(
    socket: TLSSocket,
    onFrame: (kind: number, payload: Buffer) => void,
    onClose: (error: Error | undefined) => void,
  ) {
    this.#socket = socket;
    let failure: Error | undefined;
    socket.setNoDelay(true);
    socket.setKeepAlive(true, 10_000);
    socket.on("error", (error) => {
      failure ??= error;
    });
    socket.on("close", () => onClose(failure));
    socket.on("data", (chunk) => {
      try {
        this.#read(chunk, onFrame);
      } catch (error) {
        failure ??= error as Error;
        socket.destroy();
      }
    });
  }

  send(kind: number, payload: Uint8Array): void {
    if (this.#socket.destroyed) return;
    const head = Buffer.alloc(headBytes);
    head.writeUInt32LE(payload.length, 0);
    head.writeUInt8(kind, 4);
    this.#socket.write(head);
    this.#socket.write(payload);
  }

  sendJson(kind: number, value: object): void {
    this.send(kind, Buffer.from(JSON.stringify(value, encodeBytes)));
  }

  close(): void {
    this.#socket.destroy();
  }

  #read(chunk: Buffer, onFrame: (kind: number, payload: Buffer) => void): void {
    this.#chunks.push(chunk);
    this.#size += chunk.length;
    while (this.#size >= headBytes) {
      const [first] = this.#chunks;
      const head = first!.length >= headBytes ? first! : this.#join();
      const length = head.readUInt32LE(0);
      if (length > largestFrame) throw new Error(`a frame of ${length} bytes is too long`);
      if (this.#size < headBytes + length) return;
      const all = this.#join();
      const end = headBytes + length;
      this.#chunks = [all.subarray(end)];
      this.#size -= end;
      onFrame(all.readUInt8(4), all.subarray(headBytes, end));
    }
  }

  #join(): Buffer {
    if (this.#chunks.length > 1) this.#chunks = [Buffer.concat(this.#chunks)];
    return this.#chunks[0]!;
  }
}

/** Parses the payload of a JSON frame. */
export function parseFrame<Value>(payload: Buffer): Value {
  return JSON.parse(payload.toString(), decodeBytes) as Value;
}

/** Parses a change of the directory. */
export function parseChange(payload: Buffer): DirectoryChange {
  return parseFrame<DirectoryChange>(payload);
}

function encodeBytes(_: string, value: unknown): unknown {
  return value instanceof Uint8Array ? { $bytes: Buffer.from(value).toString("hex") } : value;
}

function decodeBytes(_: string, value: unknown): unknown {
  const bytes = (value as { $bytes?: string } | null)?.$bytes;
  return typeof bytes === "string" ? new Uint8Array(Buffer.from(bytes, "hex")) : value;
}

/** TLS options that both ends share: the key of both must be the same. TLS 1.3 has no keys of this kind in Node.js. */
const tlsOptions = {
  ciphers: "ECDHE-PSK-CHACHA20-POLY1305",
  minVersion: "TLSv1.2",
  maxVersion: "TLSv1.2",
} as const;

/** Returns the TLS options of the tracker with the accounts. */
export function serverOptions(secret: string): TlsOptions {
  const key = keyOf(secret);
  return { ...tlsOptions, pskCallback: (_, name) => (name === identity ? key : null) };
}

/** Returns the TLS options of a further tracker. */
export function clientOptions(secret: string): ConnectionOptions {
  const psk = keyOf(secret);
  return { ...tlsOptions, checkServerIdentity: () => undefined, pskCallback: () => ({ psk, identity }) };
}

function keyOf(secret: string): Buffer {
  return createHash("sha256").update("chihaya trackers").update(secret).digest();
}
