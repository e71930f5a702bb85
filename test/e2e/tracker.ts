import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { announce } from "../../src/client/tracker-client.ts";
import { TrackerError } from "../../src/client/tracker-error.ts";
import { startTestStorage } from "../support/test-storage.ts";
import { findFreePort, hasIPv6 } from "./ports.ts";
import { startProcess } from "./process.ts";
import { waitUntil } from "./wait-until.ts";

/** The protocols and families that a tracker is reached by. */
export type Transport = "http4" | "http6" | "udp4" | "udp6";

/** A tracker on the loopback addresses. */
export interface TestTracker {
  /** The announce URL for a transport. */
  url(transport: Transport): string;
  output(): string;
  stop(): Promise<void>;
}

const main = join(import.meta.dirname, "../../src/cli/main.ts");

/** What a test may ask of its tracker. */
export interface TrackerChoice {
  /** Prehooks in YAML, indented by four. */
  hooks?: string;
  announceRoutes?: readonly string[];
}

/**
 * Starts this project's tracker as its users do, from a configuration file, with announces every few seconds, over the
 * store of {@link startTestStorage}.
 * @param directory  for the file
 */
export async function startTracker(directory: string, choice: TrackerChoice = {}): Promise<TestTracker> {
  const port = await findFreePort();
  const url = (transport: Transport) => {
    const host = transport.endsWith("6") ? "[::1]" : "127.0.0.1";
    return `${transport.startsWith("http") ? "http" : "udp"}://${host}:${port}/announce`;
  };

  const listen = JSON.stringify([`127.0.0.1:${port}`, ...(hasIPv6() ? [`[::1]:${port}`] : [])]);
  const { hooks, announceRoutes = ["/announce"] } = choice;
  const routes = JSON.stringify(announceRoutes);
  const storage = await startTestStorage();
  const file = join(directory, "chihaya.yaml");
  await writeFile(
    file,
    `chihaya:
  announce_interval: 5s
  min_announce_interval: 2s
  metrics_addr: "127.0.0.1:${await findFreePort()}"
  http:
    addr: ${listen}
    announce_routes: ${routes}
  udp:
    addr: ${listen}
    announce_routes: ${routes}
${storage.settings === undefined ? "" : `  storage: ${JSON.stringify(storage.settings)}\n`}${hooks === undefined ? "" : `  prehooks:\n${hooks}`}`,
  );
  const tracker = startProcess("tracker", process.execPath, [main, "--config", file]);
  try {
    const transports: readonly Transport[] = hasIPv6()
      ? ["http4", "udp4", "http6", "udp6"]
      : ["http4", "udp4"];
    for (const transport of transports) await waitUntilAnswering(url(transport), () => tracker.ended);
  } catch (error) {
    await tracker.stop();
    await storage.stop();
    throw new Error(`the tracker does not run: ${tracker.output()}`, { cause: error });
  }
  return {
    url,
    output: () => tracker.output(),
    async stop() {
      await tracker.stop();
      await storage.stop();
      await rm(file);
    },
  };
}

/** Announces a stop for a peer of a torrent that is nobody's until there is an answer. */
function waitUntilAnswering(url: string, ended: () => unknown): Promise<void> {
  const nobody = {
    infoHash: new Uint8Array(20),
    peerId: new Uint8Array(20),
    port: 1,
    left: 1n,
    event: 3,
  } as const;
  return waitUntil(`${url} answers`, async () => {
    if (ended() !== undefined) throw new Error(`ended with ${ended()}`);
    try {
      await announce(url, nobody, { timeoutMs: 1000 });
      return true;
    } catch (error) {
      return error instanceof TrackerError && error.kind === "refused";
    }
  });
}
