import { appendFile } from "node:fs/promises";
import type { Send } from "./batches.ts";

const timeoutMs = 10_000;

/** @param to  a URL to post the lines to, or the path of a file to append the lines to */
export function openTarget(to: string): Send {
  if (!/^https?:/.test(to)) return (lines) => appendFile(to, lines);
  return async (lines) => {
    const response = await fetch(to, {
      method: "POST",
      headers: { "content-type": "application/jsonl" },
      body: lines,
      signal: AbortSignal.timeout(timeoutMs),
    });
    await response.body?.cancel();
    if (!response.ok) throw new Error(`status ${response.status}`);
  };
}
