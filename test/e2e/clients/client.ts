import { clientsRequired } from "../../support/clients-required.ts";
import type { RunningProcess } from "../process.ts";

/** One torrent that a client seeds or downloads. */
export interface Task {
  role: "seed" | "download";
  /** Path of the metainfo file. */
  torrent: string;
  /** Directory of the payload: it is there for a seed, and comes to be there in a download. */
  directory: string;
  /** Directory for the client's own files. */
  state: string;
  /** The IP version that the client lives on: it listens on 127.0.0.1 or ::1. */
  family: 4 | 6;
  /** The port it listens on for peers. */
  port: number;
  /** Whether its tracker is one over UDP. */
  udp: boolean;
}

/** A real BitTorrent client. None of them uses DHT, local discovery, peer exchange or port mapping. */
export interface TorrentClient {
  name: string;
  /** Where it comes from, for the reason of a skipped test. */
  package: string;
  /** Whether it may leave its swarm without announcing that it stops, over HTTP or over UDP. */
  leavesSilently?: { http: boolean; udp: boolean };
  /** Whether it is there. */
  isInstalled(): Promise<boolean>;
  /** Starts it on one torrent; it runs until it is stopped. */
  start(task: Task): Promise<RunningProcess>;
}

/** The loopback address of an IP version. */
export function loopback(family: 4 | 6): string {
  return family === 6 ? "::1" : "127.0.0.1";
}

/** Returns the reason to skip tests that need these clients, or false to run them. If clients are required, the tests run and fail. */
export async function withoutClients(...clients: readonly TorrentClient[]): Promise<string | false> {
  const missing: string[] = [];
  for (const client of clients) if (!(await client.isInstalled())) missing.push(client.package);
  return !clientsRequired && missing.length > 0 && `not installed: ${missing.join(", ")}`;
}
