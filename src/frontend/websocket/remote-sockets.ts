import type { WebLink } from "../../storage/peer-store.ts";
import { closeEntry, entryHead, RelayEntry } from "./relay-entry.ts";
import type { RelayRings } from "./relay-rings.ts";
import { workerOf } from "./session-table.ts";

/** The ways to sockets that other workers and other trackers have. */
export class RemoteSockets {
  readonly #rings: RelayRings | undefined;
  readonly #link: WebLink | undefined;
  readonly #unreachable: (entry: RelayEntry) => void;
  /** The entry for another tracker. */
  #bytes = new Uint8Array(0);
  #view = new DataView(this.#bytes.buffer);
  /** Of the entry that was begun last. */
  #tracker = 0;
  #worker = 0;

  /**
   * @param rings        to the other workers, if there are any
   * @param link         to other trackers, if the store has one
   * @param unreachable  gets an entry, without its frame, that no tracker has received
   */
  constructor(
    rings: RelayRings | undefined,
    link: WebLink | undefined,
    unreachable: (entry: RelayEntry) => void,
  ) {
    this.#rings = rings;
    this.#link = link;
    this.#unreachable = unreachable;
  }

  /** Where the frame of the entry that was begun last is built. */
  get bytes(): Uint8Array {
    return this.#tracker === 0 ? this.#rings!.bytes : this.#bytes;
  }

  /**
   * Begins an entry for the socket that it names.
   * @param tracker  0 for this one
   * @param most     maximum number of bytes of the frame
   * @returns the offset in {@link bytes} from which there is room for the frame; -1 if the ring is full or there is no way
   */
  begin(tracker: number, entry: RelayEntry, most: number): number {
    this.#tracker = tracker;
    this.#worker = workerOf(entry.handle);
    if (tracker === 0) return this.#rings?.begin(this.#worker, entry, most) ?? -1;
    if (this.#link === undefined) return -1;
    if (this.#bytes.length < entryHead + most + 7) {
      this.#bytes = new Uint8Array(2 * (entryHead + most));
      this.#view = new DataView(this.#bytes.buffer);
    }
    entry.originTracker = this.#link.tracker;
    entry.writeHead(this.#bytes, this.#view, 0);
    return entryHead;
  }

  /** Hands over the entry that was begun last. @param start, end  the place of its frame in {@link bytes} */
  commit(start: number, end: number): void {
    if (this.#tracker === 0) this.#rings!.commit(start, end);
    else void this.#publish(closeEntry(this.#view, 0, start, end));
  }

  async #publish(length: number): Promise<void> {
    const [tracker, message] = [this.#tracker, this.#bytes.slice(0, length)];
    try {
      if (await this.#link!.send(tracker, this.#worker, message)) return;
    } catch {
      return; // Redis is unavailable, which the store reports
    }
    const entry = new RelayEntry();
    entry.read(message, new DataView(message.buffer), 0);
    entry.targetTracker = tracker;
    this.#unreachable(entry);
  }
}

/** Reads a message of another tracker. @returns undefined if it is no entry */
export function readMessageOf(message: Uint8Array, entry: RelayEntry): RelayEntry | undefined {
  if (message.length < entryHead) return undefined;
  const view = new DataView(message.buffer, message.byteOffset, message.length);
  const length = entry.read(message, view, 0);
  const isWhole = length === message.length && entry.start >= entryHead && entry.start <= entry.end;
  return isWhole && entry.end <= length ? entry : undefined;
}
