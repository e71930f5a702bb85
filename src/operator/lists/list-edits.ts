import { Pace } from "../../lib/pace.ts";
import { SharedRun } from "../../lib/shared-run.ts";
import type { EditableList } from "../../middleware/access-list/editable-list.ts";
import { maxEdits } from "../../middleware/access-list/list-edits.ts";

/** One entry that an operator has added to a list, or removed from it. */
export interface ListEdit {
  readonly isListed: boolean;
  /** When, in seconds since 1970. */
  readonly since: number;
  /** The name of the token. */
  readonly by: string;
  /** Whether a file of the list says the same, so that the edit ends when the list has loaded the file. */
  readonly isInFile: boolean;
}

/** What operators have changed about the lists of access hooks. Keeps the edits of lists that the configuration lacks now. */
export class ListEdits {
  readonly #edits = new Map<string, Map<string, ListEdit>>();
  readonly #applies: SharedRun<void> = new SharedRun(() => this.#apply());
  readonly #changed = new Set<string>();
  #lists: readonly EditableList[] = [];

  /** The lists of the configuration. */
  get lists(): readonly EditableList[] {
    return this.#lists;
  }

  /** Takes the lists of a configuration, and makes the edits effective in them. */
  async take(lists: readonly EditableList[]): Promise<void> {
    this.#lists = lists;
    for (const { name } of lists) if (this.of(name).size > 0) this.#changed.add(name);
    await this.apply();
  }

  /** Returns the edits of a list by their entries. */
  of(list: string): ReadonlyMap<string, ListEdit> {
    return this.#edits.get(list) ?? new Map();
  }

  /** Returns whether a list has room for so many more edits. */
  hasRoom(list: string, count: number): boolean {
    return this.of(list).size + count <= maxEdits;
  }

  set(list: string, entry: string, edit: ListEdit): void {
    const edits = this.#edits.get(list) ?? new Map<string, ListEdit>();
    this.#edits.set(list, edits.set(entry, edit));
    this.#changed.add(list);
  }

  delete(list: string, entry: string): void {
    if (this.#edits.get(list)?.delete(entry)) this.#changed.add(list);
  }

  /** Makes all changes effective in all workers. */
  apply(): Promise<void> {
    return this.#applies.run();
  }

  async #apply(): Promise<void> {
    for (const list of this.#lists) {
      if (!this.#changed.delete(list.name)) continue;
      const edits = new Map<string, boolean>();
      for (const [entry, { isListed }] of this.of(list.name)) {
        const parsed = list.parse(entry);
        // A list of this name had entries of another type once.
        if ("entry" in parsed) edits.set(parsed.entry, isListed);
      }
      await list.write(edits);
    }
  }

  /** Whether an edit waits for its list to load a file. */
  get waitsForFiles(): boolean {
    for (const { name } of this.#lists)
      for (const { isInFile } of this.of(name).values()) if (isInFile) return true;
    return false;
  }

  /** Ends the edits whose lists have loaded the files by now. */
  async settle(): Promise<void> {
    const pace = new Pace();
    for (const list of this.#lists) {
      for (const [entry, { isInFile, isListed }] of this.of(list.name)) {
        if (isInFile && list.has(entry) === isListed) this.delete(list.name, entry);
        await pace.step();
      }
    }
    if (this.#changed.size > 0) await this.apply();
  }

  /** All edits that a file of the list does not say. */
  *values(): Iterable<{ list: string; entry: string; edit: ListEdit }> {
    for (const [list, edits] of this.#edits)
      for (const [entry, edit] of edits) if (!edit.isInFile) yield { list, entry, edit };
  }
}
