import { toHex } from "../bittorrent/info-hash.ts";
import type { Population } from "./population.ts";

export interface HttpRequestOptions {
  host: string;
  port: number;
  /** Path and query of the announce URL. */
  path: string;
  keepAlive: boolean;
  numWant: number;
}

const infoHashLength = 20;
const hexDigits = new TextEncoder().encode("0123456789ABCDEF");

/** An announce over HTTP with the headers of qBittorrent, written once. The fields that differ between peers have fixed offsets. */
export class HttpRequest {
  readonly bytes: Buffer;
  readonly #infoHashAt: number;
  readonly #portAt: number;
  readonly #leftAt: number;
  readonly #infoHash: Uint8Array = new Uint8Array(infoHashLength);
  readonly #view: DataView = new DataView(this.#infoHash.buffer);

  constructor({ host, port, path, keepAlive, numWant }: HttpRequestOptions) {
    const infoHash = toHex(this.#infoHash).replaceAll("00", "%00");
    const authority = `${host.includes(":") ? `[${host}]` : host}:${port}`;
    this.bytes = Buffer.from(
      `GET ${path}${path.includes("?") ? "&" : "?"}info_hash=${infoHash}&peer_id=-qB4520-abcdefghijkl&port=10000` +
        `&uploaded=0&downloaded=0&left=0&corrupt=0&key=5A9C3F1E&numwant=${numWant}&compact=1&no_peer_id=1` +
        `&supportcrypto=1&redundant=0 HTTP/1.1\r\nHost: ${authority}\r\nUser-Agent: qBittorrent/4.5.2\r\n` +
        `Accept-Encoding: gzip\r\nConnection: ${keepAlive ? "keep-alive" : "close"}\r\n\r\n`,
      "latin1",
    );
    const after = (key: string) => this.bytes.indexOf(key, path.length) + key.length;
    this.#infoHashAt = after("info_hash=");
    this.#portAt = after("&port=");
    this.#leftAt = after("&left=");
  }

  /** Writes the fields of one peer. @param port  must have five digits */
  write(population: Population, torrent: number, port: number, isSeeder: boolean): void {
    const { bytes } = this;
    population.writeInfoHash(torrent, this.#view, 0);
    for (let i = 0; i < infoHashLength; i++) {
      const byte = this.#infoHash[i]!;
      bytes[this.#infoHashAt + 3 * i + 1] = hexDigits[byte >> 4]!;
      bytes[this.#infoHashAt + 3 * i + 2] = hexDigits[byte & 15]!;
    }
    for (let i = 4, rest = port; i >= 0; i--, rest = Math.floor(rest / 10)) {
      bytes[this.#portAt + i] = 0x30 + (rest % 10);
    }
    bytes[this.#leftAt] = isSeeder ? 0x30 : 0x31;
  }
}
