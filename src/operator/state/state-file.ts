import { createHash, type Hash } from "node:crypto";
import { constants } from "node:fs";
import { type FileHandle, lstat, open, realpath, rename, stat, unlink } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { createInterface } from "node:readline";
import { cannotRead } from "../../lib/file-errors.ts";
import { openFile } from "../../lib/open-file.ts";
import { Pace } from "../../lib/pace.ts";
import { SharedRun } from "../../lib/shared-run.ts";

/** One line of the file between the first and the last. */
export type StateRecord = Readonly<Record<string, unknown>>;

const header = { format: "chihaya admin state", version: 1 };
const footer = { end: true };

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

  get #temporary(): string {
    return `${this.#path}.tmp`;
  }

  /** Makes sure that the directory can be written to. */
  async #probe(): Promise<void> {
    try {
      await (await this.#create()).close();
      await unlink(this.#temporary);
    } catch (error) {
      throw new Error(`admin.state: cannot write to ${dirname(this.#path)}: ${(error as Error).message}`, {
        cause: error,
      });
    }
  }

  async #create(): Promise<FileHandle> {
    const { O_WRONLY, O_CREAT, O_EXCL } = constants;
    // What a crash has left there is incomplete.
    await unlink(this.#temporary).catch(() => undefined);
    return open(this.#temporary, O_WRONLY | O_CREAT | O_EXCL, 0o600);
  }

  async #write(): Promise<void> {
    const stamp = await stampOf(this.#path);
    const hasGone = stamp === undefined && this.#stamp !== undefined;
    // Copies and backups change the stamp, but not the content.
    const isOther = stamp !== undefined && stamp !== this.#stamp;
    if (isOther && (await this.#readDigest()) !== this.#digest)
      throw new Error(`${this.name} was changed by another program; restart the tracker to load it`);
    const hash = createHash("sha256");
    const file = await this.#create();
    try {
      await this.#writeRecords(file, hash);
      await file.sync();
    } catch (error) {
      await file.close();
      await unlink(this.#temporary).catch(() => undefined);
      throw error;
    }
    await file.close();
    await rename(this.#temporary, this.#path);
    this.#digest = hash.digest("hex");
    this.#stamp = await stampOf(this.#path);
    await syncDirectory(dirname(this.#path));
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

/** Identifies the content of a file; undefined if there is none. */
async function stampOf(path: string): Promise<string | undefined> {
  const found = await stat(path, { bigint: true }).catch(() => undefined);
  return found && [found.dev, found.ino, found.size, found.mtimeNs].join();
}

/** Makes a rename last. Ignores errors, because some file systems cannot do that for a directory. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, constants.O_RDONLY).catch(() => undefined);
  await directory?.sync().catch(() => undefined);
  await directory?.close();
}
