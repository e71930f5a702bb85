import { createServer, type Socket } from "node:net";
import type { SecureContextOptions, Server as TlsServer } from "node:tls";
import { Address, parseAddressText } from "../../ip/address.ts";
import { bindError } from "../bind-error.ts";
import { readDescriptorLimit } from "../descriptor-limit.ts";
import type { Connection, StreamHandler, StreamListener, StreamOptions, TlsFiles } from "../stream.ts";

/** Connections that the kernel may queue before Node accepts them; the system's limit (`somaxconn`) applies too. */
const backlog = 4096;
const handshakeTimeoutMs = 10_000;
/** TLS handshakes in progress at once. The handler cannot limit them, because they are not connections yet. */
const defaultHandshakes = 1024;

/** Options of the sockets of all listeners. */
export const socketOptions = {
  // A client may shut down its sending side and still wait for its response.
  allowHalfOpen: true,
  noDelay: true,
  // The smallest mark: a paused socket stops reading at once.
  highWaterMark: 1,
} as const;

/**
 * Binds a TCP address through node:net or, with `options.tls`, node:tls. An IPv6 address accepts IPv6 only, so
 * `0.0.0.0` and `::` can both bind one port.
 *
 * Rejects with an Error that names the address and the remedy.
 */
export async function listenStream<State>(options: StreamOptions<State>): Promise<StreamListener> {
  const { host, port, tls, threads = 1, handler, maxHandshakes = defaultHandshakes } = options;
  const accept = (socket: Socket) => {
    const remote = new Address();
    // Undefined if the client has disconnected already.
    if (parseAddressText(socket.remoteAddress ?? "", remote)) acceptSocket(socket, handler, remote);
    else socket.on("error", () => {}).destroy();
  };
  const handshakes = new Map<string, Socket>();
  const secure = tls && (await createSecureServer(tls, accept, handshakes, maxHandshakes));
  const server = secure?.server ?? createServer(socketOptions, accept);
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) => reject(bindError(tls ? "https" : "http", host, port, error)));
    server.listen({ host, port, backlog, ipv6Only: true, reusePort: threads > 1 }, resolve);
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
      // The port is free when this returns; Node's callback would wait for the open connections.
      if (server.listening) server.close();
      for (const socket of handshakes.values()) socket.destroy();
      return Promise.resolve();
    },
  };
}

/**
 * Reported when a connection gets the last descriptor. Node.js reports nothing: it accepts and closes the following
 * connections.
 */
const noDescriptors: Error = Object.assign(new Error("accept: EMFILE"), { code: "EMFILE" });

/** Returns the descriptor's number, which was the lowest free one; -1 if Node.js does not reveal it. */
function descriptorOf(socket: Socket): number {
  return (socket as { _handle?: { fd?: number } | null })._handle?.fd ?? -1;
}

/** Creates a TLS server that passes on a socket after its handshake, and limits handshakes in number and time. */
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
    // A map keeps the order of insertion: its first entry is the oldest.
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

/** Connects an accepted socket to its handler. @param remote  the client's address, which the connection keeps */
export function acceptSocket<State>(socket: Socket, handler: StreamHandler<State>, remote: Address): void {
  // Resets and broken pipes are the other side's business; the event "close" follows.
  socket.on("error", () => {});
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
  /** Whether the handler may still get events other than the end. */
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

  /** Notes that a write was taken. The event "drain" would not do over TLS, because it has another threshold. */
  readonly #written = (): void => {
    if (!this.#waiting || !this.open || this.#socket.writableLength > 0) return;
    this.#waiting = false;
    this.#drained();
  };

  write(bytes: Uint8Array, start: number, end: number): void {
    if (!this.open || this.#ending) return;
    // Always copies: Node keeps bytes that the kernel does not take at once, and the caller reuses its bytes.
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
    // Node refuses a reset over TLS, and throws for a unix socket, which has no port. A reset while the end is being sent keeps
    // libuv busy for ever. Such connections are closed normally.
    if (reset && !this.#ending && this.remotePort !== 0 && !("encrypted" in this.#socket))
      this.#socket.resetAndDestroy();
    else this.#socket.destroy();
  }
}
