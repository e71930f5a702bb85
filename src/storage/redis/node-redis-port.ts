import { installRemedy } from "../../lib/install-remedy.ts";
import { withTimeout } from "../../lib/with-timeout.ts";
import { ClusterConnection, type ServerConnection } from "./cluster-connection.ts";
import { type RedisStoreConfig, readBroker, withoutSecrets } from "./config.ts";
import { isRefusal } from "./redis-errors.ts";
import type { RedisArgument, RedisNode, RedisPort } from "./redis-port.ts";

type Library = typeof import("@redis/client");
/** Milliseconds without a byte after which a subscription of a cluster moves to another server. */
const silenceMs = 15_000;

type BasicAuth = { username?: string; password?: string };

/** Returns the pause before the next attempt to connect: 50 to 2,000 ms, half random, so that trackers spread out. */
function reconnectDelay(retries: number): number {
  const most = Math.min(50 * 2 ** retries, 2000);
  return most / 2 + (Math.random() * most) / 2;
}

/**
 * Opens a port over `@redis/client`, which only this file imports, since the package is optional.
 * @throws Error with the command that installs the package, if it is missing
 */
export async function createNodeRedisPort(
  config: RedisStoreConfig,
  onError: (error: Error) => void,
): Promise<RedisPort> {
  let library: Library;
  try {
    library = await import("@redis/client");
  } catch (error) {
    throw new Error(
      `the store "redis" needs the package "@redis/client": ${installRemedy("@redis/client")}`,
      {
        cause: error,
      },
    );
  }
  if (config.topology === "cluster") return openCluster(library, config, onError);
  const subscribe = async (channel: string, receive: (message: Buffer) => void): Promise<() => void> => {
    const connection = connect(library, config);
    connection.client.on("error", onError);
    await subscribeWith(connection, config, channel, receive);
    return () => destroy(connection.client);
  };
  const open = () => {
    const connection = connect(library, config);
    connection.client.on("error", onError);
    return connection;
  };
  return new ClientPort(config, open, subscribe);
}

/** Connects and subscribes to a channel. Closes the connection if it fails. */
async function subscribeWith(
  { client, subscribe }: Pick<Connection, "client" | "subscribe">,
  { connectTimeout, readTimeout }: RedisStoreConfig,
  channel: string,
  receive: (message: Buffer) => void,
): Promise<void> {
  try {
    await withTimeout(connectTimeout * 1000, client.connect());
    await withTimeout(readTimeout * 1000, subscribe(channel, receive));
  } catch (error) {
    destroy(client);
    throw error;
  }
}

/** Returns host and port of a server. */
function placeOf(url: string, defaultPort: number): { host: string; port: number } {
  const { host, port } = readBroker(url);
  return { host, port: port || defaultPort };
}

/** Returns user and password of the first broker; all brokers have the same. */
function credentialsOf({ broker }: RedisStoreConfig): BasicAuth {
  const { username, password } = readBroker(broker[0]!);
  return { ...(username === "" ? {} : { username }), ...(password === "" ? {} : { password }) };
}

/** Returns the options that all connections share. */
function optionsOf(config: RedisStoreConfig) {
  const { broker, ca, connectTimeout } = config;
  const { isTls } = readBroker(broker[0]!);
  return {
    RESP: 2 as const,
    disableOfflineQueue: true,
    disableClientInfo: true as const,
    ...credentialsOf(config),
    socket: {
      connectTimeout: connectTimeout * 1000,
      reconnectStrategy: reconnectDelay,
      ...(isTls ? { tls: true as const, ...(ca === undefined ? {} : { ca }) } : {}),
    },
  };
}

/** Makes strings in replies bytes. */
function replyOptions({ RESP_TYPES }: Library) {
  return { typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer } as const };
}

/**
 * Opens a cluster. Does not use the library's cluster client, which waits for dead servers: it learns of no failover
 * while CLUSTER SLOTS names one.
 */
function openCluster(
  library: Library,
  config: RedisStoreConfig,
  onError: (error: Error) => void,
): ClusterConnection {
  const options = optionsOf(config);
  const ofReplies = replyOptions(library);
  return new ClusterConnection({
    roots: config.broker.map((url) => {
      const { host, port } = placeOf(url, 6379);
      return `${host}:${port}`;
    }),
    connectTimeoutMs: config.connectTimeout * 1000,
    readTimeoutMs: config.readTimeout * 1000,
    open(host, port): ServerConnection {
      const client = library.createClient({ ...options, socket: { ...options.socket, host, port } });
      const { promise, resolve, reject } = Promise.withResolvers<unknown>();
      let refusal: Error | undefined;
      client.on("error", onError).once("error", reject);
      client.on("error", (error) => {
        refusal = isRefusal(error) ? error : undefined;
      });
      client.connect().then(resolve, reject);
      return {
        get refusal() {
          return client.isReady ? undefined : refusal;
        },
        get isReady() {
          return client.isReady;
        },
        opened: promise,
        send: (args) => client.sendCommand(args, ofReplies),
        destroy: () => destroy(client),
      };
    },
    async subscribe(host, port, channel, receive, onLost) {
      const socket = {
        ...options.socket,
        host,
        port,
        reconnectStrategy: false as const,
        socketTimeout: silenceMs,
      };
      const client = library.createClient({ ...options, socket, pingInterval: silenceMs / 3 });
      client.on("error", onError);
      const subscribe: Connection["subscribe"] = (to, receiver) => client.subscribe(to, receiver, true);
      await subscribeWith({ client, subscribe }, config, channel, receive);
      client.once("terminated", onLost);
      return () => destroy(client);
    },
  });
}

/** The part of the library's clients that this file uses. */
interface Connection {
  client: {
    readonly isOpen: boolean;
    connect(): Promise<unknown>;
    destroy(): unknown;
    on(event: "error", listener: (error: Error) => void): unknown;
    off(event: "error", listener: (error: Error) => void): unknown;
    on(event: "connect", listener: () => void): unknown;
  };
  send(args: readonly RedisArgument[]): Promise<unknown>;
  subscribe(channel: string, receive: (message: Buffer) => void): Promise<unknown>;
}

function connect(library: Library, config: RedisStoreConfig): Connection {
  const options = optionsOf(config);
  const ofReplies = replyOptions(library);
  const [first] = config.broker as [string];
  const { database } = readBroker(first);
  if (config.topology !== "sentinel") {
    const socket = { ...options.socket, ...placeOf(first, 6379) };
    const client = library.createClient({ ...options, database, socket });
    return {
      client,
      send: (args) => client.sendCommand(args, ofReplies),
      subscribe: (channel, receive) => client.subscribe(channel, receive, true),
    };
  }
  const sentinel = library.createSentinel({
    name: config.sentinelMaster,
    sentinelRootNodes: config.broker.map((url) => placeOf(url, 26379)),
    nodeClientOptions: { ...options, database },
    sentinelClientOptions: {
      socket: options.socket,
      credentialsProvider: {
        type: "async-credentials-provider",
        credentials: sentinelCredentials(library, config),
      },
    },
    scanInterval: 1000,
    maxCommandRediscovers: 0,
    RESP: 2,
  });
  return {
    client: sentinel,
    send: (args) => sentinel.sendCommand(false, [...args], ofReplies),
    subscribe: (channel, receive) => sentinel.subscribe(channel, receive, true),
  };
}

/**
 * Returns the credentials for sentinels. A sentinel without a password refuses one, so the function first asks a
 * sentinel. The library connects to a sentinel every second; the result is valid for ten seconds.
 */
function sentinelCredentials(library: Library, config: RedisStoreConfig): () => Promise<BasicAuth> {
  const credentials = credentialsOf(config);
  let isAsked = false;
  let untilMs = Number.NEGATIVE_INFINITY;
  return async () => {
    if (credentials.password !== undefined && performance.now() >= untilMs) {
      try {
        isAsked = await Promise.any(config.broker.map((url) => requiresPassword(library, config, url)));
        untilMs = performance.now() + 10_000;
      } catch {
        // No sentinel responds: keep the last result.
      }
    }
    return isAsked ? credentials : {};
  };
}

async function requiresPassword(library: Library, config: RedisStoreConfig, url: string): Promise<boolean> {
  const { RESP, disableClientInfo, socket } = optionsOf(config);
  const place = { ...socket, ...placeOf(url, 26379), reconnectStrategy: false as const };
  const client = library.createClient({ RESP, disableClientInfo, socket: place });
  client.on("error", () => undefined); // the caller's own connection reports the same error
  try {
    await client.connect();
    await withTimeout(config.readTimeout * 1000, client.sendCommand(["PING"]));
    return false;
  } catch (error) {
    if ((error as Error).message.startsWith("NOAUTH")) return true;
    throw error;
  } finally {
    destroy(client);
  }
}

/** Destroys a client. A client that is connecting would forget this and keep the process alive. */
function destroy(client: Connection["client"]): void {
  if (client.isOpen) client.destroy();
  client.on("connect", () => client.destroy());
}

class ClientPort implements RedisPort {
  readonly isCluster = false;
  readonly #config: RedisStoreConfig;
  readonly #open: () => Connection;
  #connection: Connection;
  #connecting: Promise<unknown> | undefined;

  readonly subscribe: RedisPort["subscribe"] & {};

  constructor(config: RedisStoreConfig, open: () => Connection, subscribe: RedisPort["subscribe"] & {}) {
    this.#config = config;
    this.subscribe = subscribe;
    this.#open = open;
    this.#connection = open();
  }

  async connect(): Promise<void> {
    const { client } = this.#connection;
    if (!client.isOpen) this.#connecting = undefined;
    // The library keeps trying after this time limit.
    this.#connecting ??= client.connect();
    this.#connecting.catch(() => undefined);
    const { broker, connectTimeout, topology } = this.#config;
    // The library asks one sentinel after the other, and another one may accept.
    let refusals = topology === "sentinel" ? broker.length : 1;
    const late = `no connection to ${broker.map(withoutSecrets).join(", ")}`;
    const { promise: refused, reject } = Promise.withResolvers<never>();
    const onError = (error: Error): void => {
      if (isRefusal(error) && --refusals === 0) reject(error);
    };
    client.on("error", onError);
    try {
      await withTimeout(connectTimeout * 1000, Promise.race([this.#connecting, refused]), late);
    } finally {
      client.off("error", onError);
    }
  }

  send(_: Buffer, args: readonly RedisArgument[]): Promise<unknown> {
    return this.#connection.send(args);
  }

  masters(): RedisNode[] {
    const { send } = this.#connection;
    return [{ send: (args) => withTimeout(this.#config.readTimeout * 1000, send(args)) }];
  }

  /** Reconnects. With sentinels, the sentinels name a primary that responds. */
  renew(): void {
    if (this.#config.topology === "sentinel") return;
    this.close();
    this.#connection = this.#open();
  }

  close(): void {
    destroy(this.#connection.client);
  }
}
