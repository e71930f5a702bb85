import { type RedisStoreConfig, withoutSecrets } from "./config.ts";
import type { RedisArgument, RedisNode, RedisPort } from "./redis-port.ts";

type Library = typeof import("@redis/client");

/** Milliseconds until the next attempt to connect: from 50 to 2,000, half of it random, so that trackers spread. */
function reconnectDelay(retries: number): number {
  const most = Math.min(50 * 2 ** retries, 2000);
  return most / 2 + (Math.random() * most) / 2;
}

/**
 * Opens a port that goes through `@redis/client`, which is loaded only here: it is an optional dependency.
 * @throws Error that says what to install, where it is missing
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
      'the store "redis" needs the package "@redis/client": install it with npm install @redis/client',
      {
        cause: error,
      },
    );
  }
  const connection = connect(library, config);
  connection.client.on("error", onError);
  return new NodeRedisPort(config, connection);
}

/** The three clients of the library, as far as they are used here. */
interface Connection {
  isCluster: boolean;
  client: {
    readonly isOpen: boolean;
    connect(): Promise<unknown>;
    destroy(): unknown;
    on(event: "error", listener: (error: Error) => void): unknown;
  };
  send(key: Buffer | undefined, args: readonly RedisArgument[]): Promise<unknown>;
  masters(): RedisNode[] | Promise<RedisNode[]>;
}

function connect(library: Library, config: RedisStoreConfig): Connection {
  const { createClient, createCluster, createSentinel, RESP_TYPES } = library;
  const typeMapping = { [RESP_TYPES.BLOB_STRING]: Buffer } as const;
  const options = { typeMapping };
  const [first] = config.broker as [string];
  const { username, password, protocol, pathname } = new URL(first);
  const { ca } = config;
  const socket = {
    connectTimeout: config.connectTimeout * 1000,
    reconnectStrategy: reconnectDelay,
    ...(protocol === "rediss:" ? { tls: true as const, ...(ca === undefined ? {} : { ca }) } : {}),
  };
  const common = { RESP: 2, disableOfflineQueue: true, disableClientInfo: true } as const;
  if (config.topology === "single") {
    const client = createClient({ ...common, url: first, socket });
    const send = (args: readonly RedisArgument[]): Promise<unknown> => client.sendCommand(args, options);
    return { isCluster: false, client, send: (_, args) => send(args), masters: () => [{ send }] };
  }
  const shared = {
    ...common,
    ...(username === "" ? {} : { username: decodeURIComponent(username) }),
    ...(password === "" ? {} : { password: decodeURIComponent(password) }),
    socket,
  };
  if (config.topology === "sentinel") {
    const sentinel = createSentinel({
      name: config.sentinelMaster,
      sentinelRootNodes: config.broker.map((url) => {
        const { hostname, port } = new URL(url);
        return { host: hostname, port: Number(port || 26379) };
      }),
      nodeClientOptions: { ...shared, database: Number(pathname.slice(1) || 0) },
      sentinelClientOptions: { socket },
      scanInterval: 1000,
      maxCommandRediscovers: 0,
      RESP: 2,
    });
    const send = (args: readonly RedisArgument[]): Promise<unknown> =>
      sentinel.sendCommand(false, [...args], options);
    return { isCluster: false, client: sentinel, send: (_, args) => send(args), masters: () => [{ send }] };
  }
  const cluster = createCluster({
    rootNodes: config.broker.map((url) => ({ ...shared, url })),
    defaults: shared,
    RESP: 2,
  });
  return {
    isCluster: true,
    client: cluster,
    send: (key, args) => cluster.sendCommand(key, false, [...args], options),
    masters: async () =>
      Promise.all(
        cluster.masters.map(async (master) => {
          const client = await cluster.nodeClient(master);
          return { send: (args) => client.sendCommand(args, options) };
        }),
      ),
  };
}

class NodeRedisPort implements RedisPort {
  readonly isCluster: boolean;
  readonly #config: RedisStoreConfig;
  readonly #connection: Connection;
  #connecting: Promise<unknown> | undefined;

  constructor(config: RedisStoreConfig, connection: Connection) {
    this.#config = config;
    this.#connection = connection;
    this.isCluster = connection.isCluster;
  }

  async connect(): Promise<void> {
    const { client } = this.#connection;
    if (!client.isOpen) this.#connecting = undefined;
    // It goes on trying after the time here is over.
    this.#connecting ??= client.connect();
    this.#connecting.catch(() => undefined);
    const { promise, resolve } = Promise.withResolvers<"late">();
    const timer = setTimeout(resolve, this.#config.connectTimeout * 1000, "late");
    try {
      if ((await Promise.race([this.#connecting, promise])) === "late") {
        throw new Error(`no connection to ${this.#config.broker.map(withoutSecrets).join(", ")}`);
      }
    } finally {
      clearTimeout(timer);
    }
  }

  send(key: Buffer, args: readonly RedisArgument[]): Promise<unknown> {
    return this.#connection.send(key, args);
  }

  masters(): RedisNode[] | Promise<RedisNode[]> {
    return this.#connection.masters();
  }

  close(): void {
    if (this.#connection.client.isOpen) this.#connection.client.destroy();
  }
}
