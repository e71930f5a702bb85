import { Pace } from "../../lib/pace.ts";
import type { Probe } from "../../lib/probe.ts";
import type { ListFormat } from "./list-format.ts";
import { readList } from "./read-list.ts";
import { type ListOptions, sourcesOf } from "./shared-list.ts";

/** Makes a probe of each file and URL of a hook's lists: reads the whole list. */
export function probeLists(options: ListOptions, loadFormat: () => Promise<ListFormat>): Probe[] {
  return sourcesOf(options).map(({ kind, source }) => ({
    name: source.name,
    async run(signal) {
      const list = (await loadFormat()).collect();
      const opened = await source.open(true, signal);
      if (typeof opened === "string") throw new Error("the list was not read");
      try {
        await readList(
          opened.chunks,
          (bytes, start, end) =>
            list.size >= options.maxEntries
              ? `more than ${options.maxEntries} entries (max_entries)`
              : list.add(bytes, start, end, kind),
          new Pace(),
        ).catch((error: Error & { line?: number }) => {
          if (error.line === undefined) throw error;
          throw new Error(`line ${error.line}: ${error.message}`, { cause: error });
        });
        await opened.finish();
      } finally {
        await opened.close();
      }
      return list.size === 1 ? "1 entry" : `${list.size} entries`;
    },
  }));
}
