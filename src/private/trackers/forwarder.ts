import { setTimeout as sleep } from "node:timers/promises";
import { connect } from "node:tls";
import type { Clock } from "../../lib/clock.ts";
import type { Logger } from "../../observability/logger.ts";
import type { AccountantState } from "../accounting/accountant.ts";
import { type AddressPolicy, hideAddress } from "../accounting/address-policy.ts";
import { Intake } from "../accounting/intake.ts";
import type { Journal, JournalBlock } from "../accounting/journal.ts";
import { Directory, type DirectoryMemory } from "../directory.ts";
import { restoreDirectory } from "../directory-copy.ts";
import { readDirectory, saveDirectory } from "../directory-file.ts";
import { type Records, recordBytes } from "../record.ts";
import type { RecordSource } from "../ring.ts";
import {
  clientOptions,
  Frame,
  FrameConnection,
  parseChange,
  parseFrame,
  protocolVersion,
  type Welcome,
} from "./connection.ts";

/** Records that may be on their way. */
const mostOnTheWay = 32_768;
/** Seconds between looks for what is old, the longest pause before the next connection, and the longest silence of a connection. */
const [pruneInterval, longestRetry, longestSilence] = [60, 30, 60];
const policyFile = "addresses";

/** Where the tracker with the accounts is. */
export interface ForwarderOptions {
  host: string;
  port: number;
  secret: string;
}

/** The collaborators of a {@link Forwarder}. */
export interface ForwarderDeps {
  journal: Journal;
  sources: Iterable<RecordSource>;
  clock: Clock;
  logger: Logger;
  /** Sends a new directory to all workers. */
  publish(memory: DirectoryMemory): void;
}

/**
 * Takes the place of the accountant on a further tracker of a site. Writes the records of all workers to a journal of its own, sends
 * them to the tracker with the accounts, and sends them again if that tracker has lost them. Gets users and torrents from there.
 */
export class Forwarder {
  readonly state: AccountantState = {
    ...{ recorded: 0, applied: 0, sessions: 0, users: 0, torrents: 0, quarantined: 0, excessBytes: 0 },
    problem: undefined,
  };
  readonly #options: ForwarderOptions;
  readonly #deps: ForwarderDeps;
  readonly #intake: Intake;
  /** Undefined until the first connection. */
  #policy: AddressPolicy | undefined;
  #directory: Directory | undefined;
  #parts: Buffer[] = [];
  /** Undefined without a connection. */
  #connection: FrameConnection | undefined;
  #isWelcome = false;
  #connectionProblem: string | undefined;
  /** Sequence of the last record that was sent on this connection, and of the last one that the accounts had at its start. */
  #sent = 0;
  #known = 0;
  #reader: Generator<JournalBlock> | undefined;
  #connectAt = 0;
  #retry = 0;
  #pruneAt = 0;
  /** When the accounts last took records, or had none to take. */
  #heardAt = 0;
  #isDirectoryChanged = false;

  /** Opens the journal, and begins with the users and torrents that the site had, if they are known. */
  static async open(options: ForwarderOptions, deps: ForwarderDeps): Promise<Forwarder> {
    const forwarder = new Forwarder(options, deps);
    const memory = await readDirectory(deps.journal.directory);
    if (memory !== undefined) forwarder.#use(memory);
    return forwarder;
  }

  private constructor(options: ForwarderOptions, deps: ForwarderDeps) {
    this.#options = options;
    this.#deps = deps;
    const { journal } = deps;
    const prepare = (block: Records, index: number) => hideAddress(this.#policy!, block, index);
    this.#intake = new Intake({ ...deps, prepare });
    const [policy] = journal.readLines(policyFile);
    if (policy !== undefined) this.#policy = JSON.parse(policy) as AddressPolicy;
    this.state.recorded = journal.last;
    this.#setProblem(
      `no connection to the tracker with the accounts yet, at ${options.host}:${options.port}`,
    );
  }

  /** Takes the records that wait, as {@link Intake.drain} does, and sends them. */
  drain(): number {
    if (this.#policy === undefined) return 0;
    const { journal } = this.#deps;
    const isCaughtUp = this.#sent === journal.last;
    const count = this.#intake.drain();
    this.#setProblem(this.#connectionProblem);
    this.state.recorded = journal.last;
    if (count > 0 && isCaughtUp && this.#canSend) this.#send(this.#intake.block, count);
    this.#pump();
    return count;
  }

  /** Does what is due: connections, old segments. */
  async tick(): Promise<void> {
    const { clock, journal } = this.#deps;
    if (this.#connection === undefined && clock.seconds >= this.#connectAt) this.#connect();
    if (!this.#isWelcome || this.#arrived >= this.#sent) this.#heardAt = clock.seconds;
    if (clock.seconds - this.#heardAt > longestSilence) this.disconnect();
    if (clock.seconds < this.#pruneAt) return;
    this.#pruneAt = clock.seconds + pruneInterval;
    journal.prune(this.state.applied, clock.unixSeconds);
    if (!this.#isDirectoryChanged) return;
    this.#isDirectoryChanged = false;
    await saveDirectory(journal.directory, this.#directory!.memory).catch((error: unknown) =>
      this.#deps.logger.error({ err: error }, "users and torrents cannot be saved"),
    );
  }

  /** Sends what the journal has while `hasTime`. */
  async close(hasTime: () => boolean): Promise<void> {
    const { journal, logger } = this.#deps;
    while (this.drain() > 0);
    while (this.#isWelcome && this.#arrived < journal.last && hasTime()) await sleep(20);
    if (this.#arrived < journal.last)
      logger.warn({ records: journal.last - this.#arrived }, "not sent yet; the journal keeps it");
    this.disconnect();
    journal.close();
  }

  /** Closes the connection. The next {@link tick} makes another one. */
  disconnect(): void {
    this.#connection?.close();
  }

  get #canSend(): boolean {
    return this.#isWelcome && this.#sent - this.#arrived < mostOnTheWay;
  }

  /** Sequence of the last record that the accounts have, on disk or not. */
  get #arrived(): number {
    return Math.max(this.#known, this.state.applied);
  }

  /** Sends records of the journal while there is room on the way. */
  #pump(): void {
    const { journal, logger } = this.#deps;
    try {
      while (this.#canSend && this.#sent < journal.last) {
        this.#reader ??= journal.read(this.#sent);
        const { value, done } = this.#reader.next();
        if (done) this.#reader = undefined;
        else this.#send(value.records, value.count);
      }
    } catch (error) {
      logger.error({ err: error }, "the journal cannot be sent");
      this.#setProblem((error as Error).message);
      this.#connection?.close();
    }
  }

  #send(records: Records, count: number): void {
    const first = Buffer.alloc(8);
    first.writeBigUInt64LE(BigInt(this.#sent + 1));
    this.#sent += count;
    const bytes = records.bytes.subarray(0, count * recordBytes);
    this.#connection!.send(Frame.records, Buffer.concat([first, bytes]));
  }

  #connect(): void {
    const { host, port, secret } = this.#options;
    const { journal, logger } = this.#deps;
    const socket = connect({ ...clientOptions(secret), host, port });
    this.#connection = new FrameConnection(
      socket,
      (kind, payload) => this.#receive(kind, payload),
      (error) => {
        const { clock } = this.#deps;
        const why = error?.message ?? "the connection was closed";
        const problem = `no connection to the tracker with the accounts at ${host}:${port}; announces are kept: ${why}`;
        if (this.#isWelcome || this.#retry === 0) logger.error({ err: error }, problem);
        this.#setProblem(problem);
        this.#connection = undefined;
        this.#isWelcome = false;
        this.#parts = [];
        this.#retry = Math.min(Math.max(1, 2 * this.#retry), longestRetry);
        this.#connectAt = clock.seconds + this.#retry;
      },
    );
    socket.once("secureConnect", () =>
      this.#connection?.sendJson(Frame.hello, { version: protocolVersion, instance: journal.instance }),
    );
  }

  #receive(kind: number, payload: Buffer): void {
    if (kind === Frame.welcome) this.#enter(parseFrame<Welcome>(payload));
    else if (kind === Frame.ack) {
      const { sequence } = parseFrame<{ sequence: number }>(payload);
      this.state.applied = sequence;
      this.#heardAt = this.#deps.clock.seconds;
      this.#pump();
    } else if (kind === Frame.table) this.#parts.push(Buffer.from(payload));
    else if (kind === Frame.publish) this.#publish(parseFrame<Record<string, number>>(payload));
    else if (kind === Frame.change) {
      this.#directory?.apply(parseChange(payload));
      this.#isDirectoryChanged = true;
    }
  }

  #enter({ version, position, storeIps, ipKey }: Welcome): void {
    const { journal, logger } = this.#deps;
    if (version !== protocolVersion) throw new Error("the other tracker has another version of the program");
    if (position > journal.last)
      throw new Error(
        `the accounts have record ${position} of this tracker, but the journal in ${journal.directory} ends with ` +
          `${journal.last}; restore the newer journal, or remove the directory`,
      );
    const policy = { storeIps, key: ipKey };
    if (this.#policy?.storeIps !== storeIps || this.#policy.key !== ipKey)
      journal.writeFile(policyFile, [JSON.stringify(policy)]);
    this.#policy = policy;
    this.#isWelcome = true;
    this.#retry = 0;
    this.#sent = this.#known = position;
    this.state.applied = Math.min(this.state.applied, position);
    this.#reader = undefined;
    this.#setProblem(undefined);
    logger.info({ records: journal.last - position }, "connected to the tracker with the accounts");
    this.#pump();
  }

  #publish(sizes: Record<string, number>): void {
    const bytes = Buffer.concat(this.#parts);
    this.#parts = [];
    this.#use(restoreDirectory(sizes, bytes));
    this.#isDirectoryChanged = true;
    this.#deps.logger.info({}, "users and torrents received");
  }

  #use(memory: DirectoryMemory): void {
    this.#directory = new Directory(memory);
    this.#deps.publish(memory);
  }

  #setProblem(problem: string | undefined): void {
    this.#connectionProblem = problem;
    this.state.problem = this.#intake.problem ?? problem;
  }
}
