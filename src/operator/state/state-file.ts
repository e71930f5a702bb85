import { createHash, type Hash } from "node:crypto";
import { type FileHandle, lstat, realpath } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { createInterface } from "node:readline";
import { cannotRead } from "../../lib/file-errors.ts";
import { openFile } from "../../lib/open-file.ts";
import { Pace } from "../../lib/pace.ts";
import { createBeside, stampOf } from "../../lib/replace-file.ts";
import { SharedRun } from "../../lib/shared-run.ts";

/** One line of the file between the first and the last. */
export type StateRecord = Readonly<Record<string, unknown>>;

const header = { format: "chihaya admin state", version: 1 };
const footer = { end: true };

/** Only the user of the tracker may read the file: bans name addresses. */
const mode = 0o600;

/** Characters that one write takes. */
const chunkLength = 64 * 1024;

/**
 * A file that keeps what an operator has changed, as a whole. Each save writes a new file beside the old one and renames it,
 * so the file is complete at every moment.
 *
 * Shape: one JSON object per line: the header, the records, the footer. A file without its footer is damaged.
 */
export class StateFile {
  /** The absolute path. */
  readonly name: string;
  readonly #records: () => Iterable<StateRecord>;
  readonly #saves: SharedRun<void> = new SharedRun(() => this.#write());
  /** The path without symbolic links. */
  #path: string;
  /** What the file looked like when this object last read or wrote it. */
  #stamp: string | undefined;
  /** The hash of the content that this object last read or wrote. */
  #digest = "";
  readonly #onGone: (name: string) => void;

  /**
   * @param records  returns what a save writes
   * @param onGone   takes the path after a save that replaced a missing file
   */
  constructor(path: string, records: () => Iterable<StateRecord>, onGone: (name: string) => void) {
    this.#onGone = onGone;
    this.name = resolve(path);
    this.#path = this.name;
    this.#records = records;
  }

  /**
   * Reads the file. A missing file has no records, and then the directory must be writable.
   * @param take  returns the problem of a record
   * @throws Error with a text for operators
   */
  async read(take: (record: StateRecord) => string | undefined): Promise<void> {
    this.#path = await realpath(this.name).catch(() => this.name);
    const link = this.#path === this.name ? await lstat(this.name).catch(() => undefined) : undefined;
    if (link?.isSymbolicLink())
      throw new Error(
        `admin.state: ${this.name} is a symbolic link to a missing file; restore that file (or mount its disk), or remove the link to start without bans`,
      );
    await this.#probe();
    this.#stamp = await stampOf(this.#path);
    if (this.#stamp === undefined) return;
    const refuse = (line: number, problem: string): never => {
      throw new Error(
        `admin.state is damaged: ${this.name}:${line}: ${problem}; restore the file from a copy, or remove it to start without bans`,
      );
    };
    let number = 0;
    let hasEnded = false;
    const file = await this.#open().catch(({ message }: Error) => {
      throw new Error(`admin.state: ${message}`);
    });
    const hash = createHash("sha256");
    try {
      // The hash is of the bytes that were read: another program may have changed the file since.
      const input = file.createReadStream({ autoClose: false }).on("data", (chunk) => hash.update(chunk));
      for await (const line of createInterface({ input })) {
        number++;
        if (hasEnded) refuse(number, "there are lines behind the end");
        const record = parse(line) ?? refuse(number, "not a JSON object");
        if (number === 1) {
          if (record["format"] !== header.format)
            refuse(number, `not a file of the format "${header.format}"`);
          if (record["version"] !== header.version) refuse(number, `not of version ${header.version}`);
        } else if (record["end"] === true) hasEnded = true;
        else {
          const problem = take(record);
          if (problem !== undefined) refuse(number, problem);
        }
      }
    } finally {
      await file.close();
    }
    this.#digest = hash.digest("hex");
    if (!hasEnded) refuse(number + 1, number === 0 ? "the file is empty" : "the end of the file is missing");
  }

  /** Writes all records. Saves at the same time share a write. @throws Error with a text for operators */
  save(): Promise<void> {
    return this.#saves.run();
  }

  /** Resolves when nothing is being written. */
  idle(): Promise<void> {
    return this.#saves.idle();
  }

  async #open(): Promise<FileHandle> {
    return await openFile(this.#path).catch((cause: Error) => {
      throw new Error(cannotRead(this.name, cause.message), { cause });
    });
  }

  /** Returns the hash of the content. */
  async #readDigest(): Promise<string> {
    const hash = createHash("sha256");
    const file = await this.#open();
    try {
      for await (const chunk of file.createReadStream({ autoClose: false })) hash.update(chunk as Buffer);
    } finally {
      await file.close();
    }
    return hash.digest("hex");
  }

  /** Makes sure that the directory can be written to. */
  async #probe(): Promise<void> {
    try {
      await (await createBeside(this.#path, mode)).discard();
    } catch (error) {
      throw new Error(`admin.state: cannot write to ${dirname(this.#path)}: ${(error as Error).message}`, {
        cause: error,
      });
    }
  }

  async #write(): Promise<void> {
    const stamp = await stampOf(this.#path);
    const hasGone = stamp === undefined && this.#stamp !== undefined;
    // Copies and backups change the stamp, but not the content.
    const isOther = stamp !== undefined && stamp !== this.#stamp;
    if (isOther && (await this.#readDigest()) !== this.#digest)
      throw new Error(`${this.name} was changed by another program; restart the tracker to load it`);
    const hash = createHash("sha256");
    const replacement = await createBeside(this.#path, mode);
    try {
      await this.#writeRecords(replacement.file, hash);
      await replacement.finish();
      await replacement.replace();
    } catch (error) {
      await replacement.discard();
      throw error;
    }
    this.#digest = hash.digest("hex");
    this.#stamp = await stampOf(this.#path);
    if (hasGone) this.#onGone(this.name);
  }

  async #writeRecords(file: FileHandle, hash: Hash): Promise<void> {
    const pace = new Pace();
    let text = `${JSON.stringify(header)}\n`;
    for (const record of this.#records()) {
      text += `${JSON.stringify(record)}\n`;
      if (text.length >= chunkLength) {
        await file.writeFile(text);
        hash.update(text);
        text = "";
      }
      await pace.step();
    }
    text += `${JSON.stringify(footer)}\n`;
    await file.writeFile(text);
    hash.update(text);
  }
}

function parse(line: string): StateRecord | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as StateRecord)
      : undefined;
  } catch {
    return undefined;
  }
}
