import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import type { TestContext } from "node:test";

/** Announces for the accountant: user, torrent and the counter of uploaded bytes. */
export interface LedgerBatch {
  announces: readonly (readonly [user: number, torrent: number, uploaded: number])[];
  losesReply: boolean;
}

/** What the accountant has reached. */
export type LedgerReply = { step: "ready" | "recorded" } | { step: "applied"; isDone: boolean };

/** The process of {@link file://./ledger-process.ts}. */
export class LedgerProcess {
  readonly #child: ChildProcess;
  readonly #replies: LedgerReply[] = [];
  #output = "";
  #wake: () => void = () => undefined;

  private constructor(t: TestContext, args: string[]) {
    const program = join(import.meta.dirname, "ledger-process.ts");
    this.#child = fork(program, args, { stdio: ["ignore", "ignore", "pipe", "ipc"], execArgv: [] });
    this.#child.stderr!.on("data", (chunk) => {
      this.#output += chunk;
    });
    this.#child.on("message", (reply: LedgerReply) => {
      this.#replies.push(reply);
      this.#wake();
    });
    this.#child.on("exit", () => this.#wake());
    t.after(() => this.kill());
  }

  static async start(t: TestContext, ...args: string[]): Promise<LedgerProcess> {
    const process = new LedgerProcess(t, args);
    await process.until("ready");
    return process;
  }

  send(batch: LedgerBatch): void {
    this.#child.send(batch);
  }

  /** Waits for a step. @returns the message @throws Error if the process ends before */
  async until<Step extends LedgerReply["step"]>(step: Step): Promise<LedgerReply & { step: Step }> {
    for (;;) {
      const reply = this.#replies.shift();
      if (reply?.step === step) return reply as LedgerReply & { step: Step };
      if (reply !== undefined) continue;
      const { exitCode, signalCode } = this.#child;
      if (exitCode !== null || signalCode !== null)
        throw new Error(`the accountant has ended: ${this.#output}`);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** Kills the process as kill -9 does. */
  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await ended;
  }
}

/** Stands between a tracker and its database, and cuts connections whose COMMIT has been applied but not confirmed. */
export class CommitCutter {
  readonly #server: Server;
  readonly #target: number;
  readonly #sockets = new Set<Socket>();
  /** Whether the next COMMIT is cut. */
  isArmed = false;
  /** Transactions that the database has confirmed, and the tracker has not heard of. */
  cuts = 0;

  private constructor(target: number) {
    this.#target = target;
    this.#server = createServer((client) => this.#accept(client));
  }

  /** @param target  port of the database on loopback */
  static async start(t: TestContext, target: number): Promise<CommitCutter> {
    const cutter = new CommitCutter(target);
    cutter.#server.listen(0, "127.0.0.1");
    await once(cutter.#server, "listening");
    t.after(() => {
      for (const socket of cutter.#sockets) socket.destroy();
      cutter.#server.close();
    });
    return cutter;
  }

  get port(): number {
    return (this.#server.address() as { port: number }).port;
  }

  #accept(client: Socket): void {
    const server = connect(this.#target, "127.0.0.1");
    let waits = false;
    const cut = () => {
      client.destroy();
      server.destroy();
    };
    for (const socket of [client, server]) {
      this.#sockets.add(socket);
      socket.setNoDelay(true);
      socket.on("error", cut);
      socket.on("close", () => {
        this.#sockets.delete(socket);
        cut();
      });
    }
    client.on("data", (chunk) => {
      if (this.isArmed && chunk.includes("COMMIT")) {
        this.isArmed = false;
        waits = true;
      }
      server.write(chunk);
    });
    server.on("data", (chunk) => {
      if (!waits) return client.write(chunk);
      this.cuts++;
      return cut();
    });
  }
}
