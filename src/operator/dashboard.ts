import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { RouteRequest, RouteResponse } from "../http/routes.ts";
import { Problem } from "./api/problem.ts";

/** Where the built page is, seen from `src/operator` as well as from `dist/operator`. */
const directory = fileURLToPath(new URL("../../dashboard/built/", import.meta.url));

const types: Readonly<Record<string, string>> = {
  ".css": "text/css; charset=utf-8",
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".svg": "image/svg+xml",
  ".txt": "text/plain; charset=utf-8",
};

interface File {
  readonly type: string;
  readonly bytes: Uint8Array;
  readonly headers: Readonly<Record<string, string>>;
}

/** The files of the dashboard, by the path of their URL. Everything else is not found, so no path leaves the directory. */
export class Dashboard {
  readonly #files: ReadonlyMap<string, File>;

  private constructor(files: ReadonlyMap<string, File>) {
    this.#files = files;
  }

  /** Reads all files into memory: about 150 KB. */
  static async load(): Promise<Dashboard> {
    const files = new Map<string, File>();
    for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
      const type = types[extname(entry.name)];
      if (!entry.isFile() || type === undefined) continue;
      const path = join(entry.parentPath, entry.name);
      const bytes = await readFile(path);
      const name = path.slice(directory.length).replaceAll("\\", "/");
      files.set(name === "index.html" ? "/" : `/${name}`, { type, bytes, headers: headersOf(name, bytes) });
    }
    return new Dashboard(files);
  }

  /** Responds with a file, or with 304 if the browser has it. @throws Problem 404, 405 */
  respond({ method, path, headers }: RouteRequest): RouteResponse {
    const file = this.#files.get(path);
    if (file === undefined) throw new Problem(404, "");
    if (method !== "GET" && method !== "HEAD")
      throw new Problem(405, "", { headers: { allow: "GET, HEAD" } });
    const known = headers.get("if-none-match")?.split(/\s*,\s*/) ?? [];
    if (known.includes(file.headers.etag!) || known.includes("*")) {
      return { status: 304, headers: file.headers };
    }
    return { status: 200, type: file.type, headers: file.headers, body: file.bytes, gzip: true };
  }
}

/** The names in `assets` contain a hash of the content. All else is asked for each time, and compared by its `ETag`. */
function headersOf(name: string, bytes: Uint8Array): Record<string, string> {
  const hash = createHash("sha256").update(bytes).digest("base64url").slice(0, 22);
  return {
    etag: `W/"${hash}"`,
    "cache-control": name.startsWith("assets/") ? "public, max-age=31536000, immutable" : "no-cache",
  };
}
