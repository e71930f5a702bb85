import { HttpServer, type HttpServerDeps } from "../../src/http/http-server.ts";
import { type Route, type RouteRequest, Routes } from "../../src/http/routes.ts";
import { createRandom, type Random } from "../../src/lib/clock.ts";
import { httpServerOptions } from "../support/http-server-options.ts";
import { ambiguousChunks, ambiguousFraming } from "./bodies-seeds.ts";
import { FuzzConnection, FuzzListener } from "./fuzz-connection.ts";
import { below, mutate, oneIn, pick } from "./mutate.ts";
import { ensure, type FuzzTarget } from "./target.ts";

const capacity = 64 * 1024;
const maxBody = 4096;
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

/** What must never be handled where it stands behind an ambiguous request or within a body. */
const smuggled = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";

/**
 * Streams of requests with bodies, sound, ambiguous and mutated, whole and in pieces, through the HTTP server and its routes. The
 * routes must see each sound request with its own body, and nothing of a stream from the first ambiguous request on. How the
 * stream is cut must not matter.
 */
export class BodiesTarget implements FuzzTarget {
  readonly name = "bodies";
  count = 0;
  readonly #random: Random;
  readonly #server: HttpServer;
  readonly #connection = new FuzzConnection();
  readonly #listener = new FuzzListener();
  #input = new Uint8Array(0);
  /** The requests that routes have handled: `METHOD target body`. */
  #handled: string[] = [];
  #failure: unknown;

  constructor(seed: number) {
    this.#random = createRandom(seed);
    const onError = (error: Error) => {
      this.#failure ??= error;
    };
    const handle = async (request: RouteRequest, isSlow: boolean) => {
      if (isSlow) await turn();
      const body = await request.body.bytes();
      this.#handled.push(`${request.method} ${request.target} ${body.toString()}`);
      return { status: 200 as const, body: body.subarray(0, 10) };
    };
    const methods = ["POST", "PUT", "PATCH", "DELETE"] as const;
    const routes: Route[] = [
      { path: "/get", handle: (request) => handle(request, false) },
      { path: "/smuggled", handle: (request) => handle(request, false) },
      { path: "/echo", methods, maxBody, handle: (request) => handle(request, false) },
      { path: "/slow", methods, maxBody, handle: (request) => handle(request, true) },
    ];
    const deps: HttpServerDeps = {
      handler: new Routes(routes, onError),
      clock: { seconds: 1000, unixSeconds: 1_700_000_000 },
      listen: this.#listener.listen,
      onError,
    };
    this.#server = new HttpServer(httpServerOptions, deps);
  }

  input(): Uint8Array {
    return this.#input;
  }

  async run(cases: number): Promise<void> {
    await this.#server.start();
    for (let i = 0; i < cases; i++) {
      await this.#runCase();
      this.count++;
      if (this.#failure !== undefined) throw this.#failure;
    }
  }

  check(): void {
    ensure(this.#server.open === 0, () => `${this.#server.open} connections are left open`);
  }

  stop(deadline: AbortSignal): Promise<void> {
    return this.#server.stop(deadline);
  }

  async #runCase(): Promise<void> {
    const random = this.#random;
    const expected: string[] = [];
    let stream = "";
    for (let requests = below(random, 4); requests >= 0; requests--) stream += this.#sound(expected);
    const isAmbiguous = oneIn(random, 2);
    if (isAmbiguous) stream += this.#ambiguous() + smuggled;
    const bytes = new Uint8Array(capacity);
    let length = bytes.length;
    length = Buffer.from(bytes.buffer).write(stream, "latin1");
    const isMutated = oneIn(random, 3);
    if (isMutated) length = mutate(random, bytes, 0, length, capacity);
    this.#input = bytes.slice(0, length);

    const whole = await this.#send(false);
    const cut = await this.#send(true);
    if (isMutated) {
      // A response before the end of a body closes the connection: where that is depends on the pieces.
      const [fewer, more] = whole.length < cut.length ? [whole, cut] : [cut, whole];
      ensure(
        fewer.every((handled, i) => handled === more[i]),
        () => `in pieces ${JSON.stringify(cut)}, whole ${JSON.stringify(whole)}`,
      );
      return;
    }
    for (const handled of [whole, cut]) {
      ensure(
        JSON.stringify(handled) === JSON.stringify(expected),
        () => `handled ${JSON.stringify(handled)}, expected ${JSON.stringify(expected)}`,
      );
    }
  }

  /** Returns a request that must be handled, and adds it to `expected`. */
  #sound(expected: string[]): string {
    const random = this.#random;
    const target = `${pick(random, ["/echo", "/slow"])}?n=${below(random, 1000)}`;
    if (oneIn(random, 4)) {
      expected.push(`GET /get?${target.slice(6)} `);
      return `GET /get?${target.slice(6)} HTTP/1.1\r\nHost: x\r\n\r\n`;
    }
    const method = pick(random, ["POST", "PUT", "PATCH", "DELETE"]);
    const length = oneIn(random, 3) ? 0 : below(random, 200);
    const body = smuggled.repeat(1 + length / smuggled.length).slice(0, length);
    expected.push(`${method} ${target} ${body}`);
    const head = `${method} ${target} HTTP/1.1\r\nHost: x\r\n`;
    if (length === 0 && oneIn(random, 2)) return `${head}\r\n`;
    if (oneIn(random, 2)) {
      const line = pick(random, ["Content-Length: ", "content-length:", "CONTENT-LENGTH: \t0"]);
      const again = oneIn(random, 8) ? `Content-Length: ${length}\r\n` : "";
      return `${head}${line}${length}\r\n${again}\r\n${body}`;
    }
    let chunks = "";
    for (let at = 0; at < length; ) {
      const size = Math.min(1 + below(random, 64), length - at);
      const digits = size.toString(16);
      const extension = oneIn(random, 4) ? ';x="y; z"' : "";
      chunks += `${oneIn(random, 4) ? `00${digits.toUpperCase()}` : digits}${extension}\r\n${body.slice(at, at + size)}\r\n`;
      at += size;
    }
    const trailer = oneIn(random, 4) ? "Content-Length: 3\r\nX: y\r\n" : "";
    return `${head}Transfer-Encoding: ${pick(random, ["chunked", "CHUNKED", "\tchunked "])}\r\n\r\n${chunks}0\r\n${trailer}\r\n`;
  }

  /** Returns a request that must not be handled, and behind which nothing must be. */
  #ambiguous(): string {
    const random = this.#random;
    const head = `POST ${pick(random, ["/echo", "/slow"])} HTTP/1.1\r\nHost: x\r\n`;
    const chunked = "Transfer-Encoding: chunked\r\n\r\n";
    switch (below(random, 5)) {
      case 0:
        return `GET /get HTTP/1.1\r\nHost: x\r\n${pick(random, ["Content-Length: 3", "Transfer-Encoding: chunked"])}\r\n\r\n`;
      case 1:
        return `POST /echo HTTP/1.0\r\n${chunked}0\r\n\r\n`;
      case 2:
        return `${head}${chunked}${pick(random, ambiguousChunks)}`;
      default:
        return `${head}${pick(random, ambiguousFraming)}\r\n\r\n`;
    }
  }

  /** Sends the input on a connection of its own. @returns the requests that were handled */
  async #send(isCut: boolean): Promise<string[]> {
    const handler = this.#listener.handler!;
    const connection = this.#connection;
    connection.begin();
    this.#handled = [];
    const state = handler.opened(connection);
    const input = this.#input;
    for (let at = 0; at < input.length && !connection.isOver; ) {
      const size = isCut ? 1 + below(this.#random, oneIn(this.#random, 2) ? 4 : 200) : input.length;
      const end = Math.min(input.length, at + size);
      // In the middle of a buffer that is used again, as network code does it.
      const buffer = Buffer.concat([Buffer.from("##"), input.subarray(at, end), Buffer.from("##")]);
      handler.received(state, buffer, 2, buffer.length - 2);
      buffer.fill(0x23);
      at = end;
      while (connection.isPaused && !connection.isOver) await turn();
      if (isCut && oneIn(this.#random, 4)) await turn();
    }
    if (!connection.isOver) handler.ended(state);
    for (let turns = 0; !connection.isOver; turns++) {
      ensure(turns < 1000, () => "the connection never ends");
      await turn();
    }
    handler.closed(state);
    await turn();
    ensure(connection.wrong === undefined, () => connection.wrong!);
    readResponses(Buffer.from(connection.sent.buffer, 0, connection.sentLength));
    return this.#handled;
  }
}

/** Reads responses of known lengths, and throws what is wrong with them. */
function readResponses(sent: Buffer): void {
  for (let at = 0; at < sent.length; ) {
    const headEnd = sent.indexOf("\r\n\r\n", at);
    ensure(headEnd >= 0, () => "a response without an end");
    const head = sent.toString("latin1", at, headEnd);
    const [, status, fields] = /^HTTP\/1\.1 (\d{3}) [A-Za-z ]+\r\n(.*)$/s.exec(head) ?? [];
    ensure(status !== undefined, () => `a head of ${JSON.stringify(head)}`);
    const length = Number(/^content-length: (\d+)$/m.exec(fields!)?.[1]);
    at = headEnd + 4 + (status === "204" ? 0 : length);
    ensure(at <= sent.length, () => `a response of ${length} bytes that is cut`);
    const closes = /^connection: close$/m.test(fields!);
    ensure(!closes || at === sent.length, () => "something after a response that closes");
  }
}
