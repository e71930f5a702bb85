import { createServer, type Socket } from "node:net";
import type { SecureContextOptions, Server as TlsServer } from "node:tls";
import { Address, parseAddressText } from "../../ip/address.ts";
import { bindError } from "../bind-error.ts";
import { readDescriptorLimit } from "../descriptor-limit.ts";
import type { Connection, StreamHandler, StreamListener, StreamOptions, TlsFiles } from "../stream.ts";

/** Accepted connections that the kernel may keep for us; its own limit (`somaxconn`) applies too. */
const backlog = 4096;
const handshakeTimeoutMs = 10_000;
/** TLS handshakes under way at once: they are no connections yet, so the handler cannot limit them. */
const defaultHandshakes = 1024;

const socketOptions = {
  // A client may shut down its sending side and still wait for its answer.
  allowHalfOpen: true,
  noDelay: true,
  // The smallest mark: a paused socket stops reading at once.
  highWaterMark: 1,
};

/**
 * Binds a TCP address through node:net or, with `options.tls`, node:tls. An IPv6 address takes IPv6 only, so
 * that `0.0.0.0` and `::` can both be bound to one port.
 *
 * Rejects with an Error that names the address and what can be done about it.
 */
export async function listenStream<State>(options: StreamOptions<State>): Promise<StreamListener> {
  const { host, port, tls, handler, maxHandshakes = defaultHandshakes } = options;
  const accept = (socket: Socket) => serve(socket, handler);
  const handshakes = new Map<string, Socket>();
  const secure = tls && (await createSecureServer(tls, accept, handshakes, maxHandshakes));
  const server = secure?.server ?? createServer(socketOptions, accept);
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) => reject(bindError(tls ? "https" : "http", host, port, error)));
    server.listen({ host, port, backlog, ipv6Only: true, reusePort: options.shared === true }, resolve);
  });
  server.removeAllListeners("error");
  server.on("error", options.onError);
  const lastDescriptor = readDescriptorLimit() - 1;
  server.on("connection", (socket: Socket) => {
    if (descriptorOf(socket) >= lastDescriptor) options.onError(noDescriptors);
  });
  const bound = server.address();

  return {
    port: bound !== null && typeof bound === "object" ? bound.port : port,
    prepareTls(files) {
      if (!secure) throw new Error(`the listener on ${host} has no TLS`);
      const options = tlsOptions(files);
      secure.checkTls(options);
      return () => secure.server.setSecureContext(options);
    },
    close() {
      // The port is free when this returns; what Node's callback would wait for are the open connections.
      if (server.listening) server.close();
      for (const socket of handshakes.values()) socket.destroy();
      return Promise.resolve();
    },
  };
}

/**
 * Reported when a connection gets the last descriptor. Node.js itself reports nothing: it accepts what comes after that,
 * and closes it.
 */
const noDescriptors: Error = Object.assign(new Error("accept: EMFILE"), { code: "EMFILE" });

/** The number of the descriptor, which is the lowest that was free; -1 where Node.js does not tell. */
function descriptorOf(socket: Socket): number {
  return (socket as { _handle?: { fd?: number } | null })._handle?.fd ?? -1;
}

/** A TLS server that accepts a socket when its handshake is done, and bounds handshakes in number and time. */
async function createSecureServer(
  tls: TlsFiles,
  accept: (socket: Socket) => void,
  handshakes: Map<string, Socket>,
  maxHandshakes: number,
): Promise<{ server: TlsServer; checkTls: (options: SecureContextOptions) => void }> {
  const { createServer: createTlsServer, createSecureContext } = await import("node:tls"); // 3 MiB
  const server = createTlsServer({
    ...socketOptions,
    ...tlsOptions(tls),
    handshakeTimeout: handshakeTimeoutMs,
  });
  const keyOf = (socket: Socket) => `${socket.remoteAddress} ${socket.remotePort}`;
  server.on("connection", (socket: Socket) => {
    const key = keyOf(socket);
    handshakes.set(key, socket);
    socket.once("close", () => handshakes.delete(key));
    // A map is in the order of insertion: its first is the oldest.
    if (handshakes.size > maxHandshakes) handshakes.values().next().value?.destroy();
  });
  server.on("secureConnection", (socket) => {
    handshakes.delete(keyOf(socket));
    accept(socket);
  });
  server.on("tlsClientError", (_error, socket) => socket.destroy());
  return { server, checkTls: createSecureContext };
}

function tlsOptions(tls: TlsFiles): SecureContextOptions {
  const pem = (file: string | Uint8Array) => (typeof file === "string" ? file : Buffer.from(file));
  return { cert: pem(tls.cert), key: pem(tls.key), minVersion: "TLSv1.2" };
}

/** Connects a socket to its handler. */
function serve<State>(socket: Socket, handler: StreamHandler<State>): void {
  // Resets and broken pipes are the other side's business; "close" follows.
  socket.on("error", () => {});
  const remote = new Address();
  // Undefined where the client has gone already.
  if (!parseAddressText(socket.remoteAddress ?? "", remote)) {
    socket.destroy();
    return;
  }
  const connection = new SocketConnection(socket, remote, socket.remotePort ?? 0, () =>
    handler.drained(state),
  );
  const state = handler.opened(connection);
  socket.on("data", (bytes) => {
    if (connection.open) handler.received(state, bytes as Buffer, 0, bytes.length);
  });
  socket.on("end", () => {
    if (connection.open) handler.ended(state);
  });
  socket.on("close", () => {
    connection.open = false;
    handler.closed(state);
  });
}

class SocketConnection implements Connection {
  readonly remote: Address;
  readonly remotePort: number;
  /** Whether the handler may still be told of anything but the end. */
  open = true;
  readonly #socket: Socket;
  #ending = false;
  #waiting = false;

  readonly #drained: () => void;

  constructor(socket: Socket, remote: Address, remotePort: number, drained: () => void) {
    this.#socket = socket;
    this.#drained = drained;
    this.remote = remote;
    this.remotePort = remotePort;
  }

  get pending(): number {
    return this.#socket.writableLength;
  }

  /** A write has been taken. Over TLS "drain" would not tell: its mark is another. */
  readonly #written = (): void => {
    if (!this.#waiting || !this.open || this.#socket.writableLength > 0) return;
    this.#waiting = false;
    this.#drained();
  };

  write(bytes: Uint8Array, start: number, end: number): void {
    if (!this.open || this.#ending) return;
    // Always a copy: Node keeps what the kernel does not take at once, and the caller's bytes are used again.
    const copy = Buffer.allocUnsafe(end - start);
    copy.set(bytes.subarray(start, end));
    this.#socket.write(copy, this.#written);
    if (this.#socket.writableLength > 0) this.#waiting = true;
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  end(): void {
    if (this.#ending) return;
    this.#ending = true;
    this.#socket.end();
  }

  destroy(reset = false): void {
    this.open = false;
    // A reset through TLS is refused by Node; there the connection is just closed.
    if (reset && !("encrypted" in this.#socket)) this.#socket.resetAndDestroy();
    else this.#socket.destroy();
  }
}
