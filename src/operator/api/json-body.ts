import { Problem } from "./problem.ts";

/** Makes sure that a body is JSON by its media type, which a form of another site cannot send. @throws Problem */
export function requireJson(headers: ReadonlyMap<string, string>): void {
  const [type] = (headers.get("content-type") ?? "").split(";");
  if (type!.trim().toLowerCase() !== "application/json")
    throw new Problem(415, "the body must be application/json");
}

/** Parses a body of UTF-8. @throws Problem */
export function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    throw new Problem(400, "the body is no JSON");
  }
}
