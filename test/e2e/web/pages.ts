import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";
import { type Browser, chromium, type Page } from "playwright-core";
import { executablePath, pageTimeoutMs } from "../../support/chromium.ts";

const library = readFileSync(new URL(import.meta.resolve("webtorrent/dist/webtorrent.min.js")));

/** What a page of the test keeps: the client, and functions for the test. */
const script = `
  import WebTorrent from "/webtorrent.js";
  const client = new WebTorrent({ dht: false, lsd: false, utPex: false, tracker: { rtcConfig: { iceServers: [] } } });
  window.failures = [];
  client.on("error", (error) => window.failures.push(String(error)));
  const fill = (length) => new Uint8Array(length).map((_, i) => (i * 7) ^ (i >> 8));
  const whole = (torrent) => new Promise((resolve) => {
    torrent.on("warning", (warning) => window.failures.push(String(warning)));
    torrent.on("done", async () => {
      const bytes = new Uint8Array(await (await torrent.files[0].blob()).arrayBuffer());
      const wanted = fill(bytes.length);
      const types = torrent.wires.map(({ type }) => type);
      resolve({ length: bytes.length, isRight: bytes.every((byte, i) => byte === wanted[i]), types });
    });
  });
  window.seed = (urls, length) => new Promise((resolve) =>
    client.seed(new File([fill(length)], "file.bin"), { announce: urls }, (torrent) => {
      torrent.on("warning", (warning) => window.failures.push(String(warning)));
      resolve({ magnet: torrent.magnetURI, torrent: Array.from(torrent.torrentFile) });
    }));
  window.download = (source) => whole(client.add(Array.isArray(source) ? new Uint8Array(source) : source));
  window.share = (source, { length, pieceLength, from }) => new Promise((resolve) => {
    const content = fill(length).fill(0, 0, from);
    const store = {
      chunkLength: pieceLength,
      put(index, piece, done) {
        content.set(piece, index * pieceLength);
        queueMicrotask(done);
      },
      get(index, ...rest) {
        const [done, part] = rest.reverse(); // the caller may leave the part out
        const start = index * pieceLength + (part?.offset ?? 0);
        const end = part?.length === undefined ? (index + 1) * pieceLength : start + part.length;
        queueMicrotask(() => done(null, content.slice(start, end)));
      },
      close: (done) => done(),
      destroy: (done) => done(),
    };
    const torrent = client.add(new Uint8Array(source), { preloadedStore: store });
    window.shared = whole(torrent);
    torrent.on("ready", () => resolve(torrent.progress));
  });
  window.isReady = true;
`;

/** The content of the file that the pages seed. */
export function fileContent(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 7) ^ (i >> 8));
}

/** What a page has downloaded. */
export interface Download {
  length: number;
  isRight: boolean;
  /** The kinds of its connections: `webrtc`. */
  types: string[];
}

/** A WebTorrent client in a page. */
export interface ClientPage {
  readonly page: Page;
  /** Seeds a file, with the trackers `urls`. */
  seed(urls: readonly string[], length: number): Promise<{ magnet: string; torrent: number[] }>;
  /** Downloads a file from a magnet link or a torrent file. */
  download(source: string | readonly number[]): Promise<Download>;
  /**
   * Joins a torrent file with the end of the file, and waits until the client has checked what is there.
   * @param from  the first byte that is there
   * @returns the part of the file that is there, 0 to 1
   */
  share(
    torrent: readonly number[],
    file: { readonly length: number; readonly pieceLength: number; readonly from: number },
  ): Promise<number>;
  /** Waits until the file of {@link share} is whole. */
  rest(): Promise<Download>;
  /** Errors and warnings of the client so far. */
  failures(): Promise<string[]>;
}

/** Opens pages in one browser, which ends with the test. */
export interface Pages {
  /** Opens a page with a WebTorrent client, in a context of its own. */
  (): Promise<ClientPage>;
  /** Opens the page of `examples/web-seed`, in a context of its own. */
  example(): Promise<Page>;
}

/** Starts a browser for pages with WebTorrent clients. */
export async function openPages(t: TestContext): Promise<Pages> {
  if (executablePath === undefined) throw new Error("needs chromium");
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url!, "http://localhost");
    const isPage = pathname.endsWith("/");
    response.setHeader("content-type", isPage ? "text/html" : "text/javascript");
    if (pathname === "/example/") response.end(readFileSync("examples/web-seed/index.html"));
    else response.end(isPage ? `<script type=module>${script}</script>` : library);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close().closeAllConnections());
  const { port } = server.address() as AddressInfo;
  const browser: Browser = await chromium.launch({
    executablePath,
    timeout: pageTimeoutMs,
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-dev-shm-usage",
      "--disable-background-networking",
      // Programs outside of the browser cannot resolve the names that hide addresses.
      "--disable-features=WebRtcHideLocalIpsWithMdns",
    ],
  });
  t.after(() => browser.close());
  const visit = async (path: string): Promise<Page> => {
    const context = await browser.newContext({ ignoreHTTPSErrors: true });
    context.setDefaultTimeout(pageTimeoutMs);
    const page = await context.newPage();
    await page.goto(`http://127.0.0.1:${port}${path}`);
    return page;
  };
  const open = async (): Promise<ClientPage> => {
    const page = await visit("/");
    await page.waitForFunction("window.isReady");
    return {
      page,
      seed: (urls, length) => page.evaluate(`window.seed(${JSON.stringify(urls)}, ${length})`),
      download: (source) => page.evaluate(`window.download(${JSON.stringify(source)})`),
      share: (torrent, file) =>
        page.evaluate(`window.share(${JSON.stringify(torrent)}, ${JSON.stringify(file)})`),
      rest: () => page.evaluate("window.shared"),
      failures: () => page.evaluate("window.failures"),
    };
  };
  return Object.assign(open, { example: () => visit("/example/?local") });
}
