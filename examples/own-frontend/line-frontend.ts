import {
  AnnounceRequest,
  AnnounceResponse,
  type Connection,
  defineFrontend,
  type Frontend,
  type FrontendDeps,
  type ListenAddress,
  PeerList,
  parseInfoHash,
  RequestContext,
  type StreamListener,
} from "chihaya";
import { addresses, integer, options } from "chihaya/options";

interface LineOptions {
  listen: readonly ListenAddress[];
  maxNumWant: number;
}

const maxLineLength = 200;
const compactLength = 6;

/**
 * Serves IPv4 peers over TCP, one line for each announce:
 *
 *     client:   announce INFOHASH PORT LEFT
 *     tracker:  INTERVAL SEEDERS LEECHERS [ADDRESS:PORT ...]
 */
class LineFrontend implements Frontend {
  readonly name = "lines";
  #options: LineOptions;
  readonly #deps: FrontendDeps;
  readonly #open = new Set<Connection>();
  readonly #urls: string[] = [];
  #listeners: StreamListener[] = [];

  constructor(options: LineOptions, deps: FrontendDeps) {
    this.#options = options;
    this.#deps = deps;
  }

  async start(): Promise<void> {
    for (const { host, port } of this.#options.listen) {
      const listener = await this.#deps.network.listenStream<{ connection: Connection; text: string }>({
        host,
        port,
        onError: this.#deps.onError,
        handler: {
          opened: (connection) => {
            this.#open.add(connection);
            return { connection, text: "" };
          },
          received: (state, bytes, start, end) => {
            const lines = (state.text + Buffer.from(bytes.subarray(start, end)).toString("latin1")).split(
              "\n",
            );
            state.text = lines.pop() ?? "";
            if (state.text.length > maxLineLength) state.connection.destroy();
            for (const line of lines) void this.#respond(state.connection, line);
          },
          ended: ({ connection }) => connection.end(false),
          closed: ({ connection }) => this.#open.delete(connection),
          drained: () => undefined,
        },
      });
      this.#listeners.push(listener);
      this.#urls.push(`lines://${host}:${listener.port}`);
    }
  }

  urls(): string[] {
    return this.#urls;
  }

  prepare(options: LineOptions): () => void {
    return () => {
      this.#options = options;
    };
  }

  async stop(): Promise<void> {
    await Promise.all(this.#listeners.map((listener) => listener.close()));
    for (const connection of this.#open) connection.destroy();
  }

  async #respond(connection: Connection, line: string): Promise<void> {
    const { logic, requests } = this.#deps;
    const startedMs = requests.begin();
    const [, hash = "", port = "", left = ""] =
      /^announce ([\da-f]{40}) (\d{1,5}) (\d{1,18})$/i.exec(line) ?? [];
    const infoHash = parseInfoHash(hash);
    if (infoHash === undefined || Number(port) < 1 || Number(port) > 65_535) {
      this.#send(connection, "error: expected announce INFOHASH PORT LEFT");
      requests.end(startedMs, "", undefined, undefined, "malformed");
      return;
    }
    const request = new AnnounceRequest();
    request.infoHash.set(infoHash);
    request.address.copyFrom(connection.remote);
    request.port = Number(port);
    request.left = BigInt(left);
    request.numWant = this.#options.maxNumWant;
    const peers = new PeerList(4, new Uint8Array(compactLength * request.numWant));
    peers.limit = request.numWant;
    const response = new AnnounceResponse(peers, new PeerList(6, new Uint8Array(0)));
    const context = new RequestContext();
    const refusal = await logic.handleAnnounce(request, response, context);
    if (refusal !== undefined) {
      this.#send(connection, `error: ${refusal.message}`);
      requests.end(startedMs, "announce", 4, refusal);
      return;
    }
    const list = Array.from({ length: peers.count }, (_, i) => {
      const at = compactLength * i;
      return `${peers.bytes.subarray(at, at + 4).join(".")}:${peers.view.getUint16(at + 4)}`;
    });
    this.#send(connection, [response.interval, response.complete, response.incomplete, ...list].join(" "));
    requests.end(startedMs, "announce", 4);
    logic.afterAnnounce(request, response, context);
  }

  #send(connection: Connection, line: string): void {
    const bytes = Buffer.from(`${line}\n`);
    connection.write(bytes, 0, bytes.length);
  }
}

/** A frontend for programs that do not want to parse bencode. */
export default defineFrontend({
  name: "lines",
  options: options({
    addr: addresses({ restart: true })
      .as("listen")
      .default("127.0.0.1:6900")
      .describe("Addresses that the frontend listens on."),
    max_numwant: integer(0, 1000)
      .as("maxNumWant")
      .default(50)
      .describe("Maximum number of peers in a response."),
  }),
  listens: [{ key: "addr", option: "listen", transport: "tcp" }],
  create: (given, deps) => new LineFrontend(given, deps),
});
