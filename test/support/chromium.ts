import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import type { TestContext } from "node:test";
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";
import { clientsRequired } from "./clients-required.ts";

const names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/** The browser of the system; undefined if there is none. */
export const executablePath: string | undefined = (process.env.PATH ?? "")
  .split(delimiter)
  .flatMap((directory) => names.map((name) => join(directory, name)))
  .find(isExecutable);

/** Why tests in a browser are skipped; false to run them. With CHIHAYA_REQUIRE_CLIENTS=1 they fail without a browser. */
export const skipReason: string | false =
  executablePath === undefined && !clientsRequired && "not installed: chromium";

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** How long a page may take for a step, in milliseconds. The 30 s of Playwright can pass on a busy machine. */
export const pageTimeoutMs = 180_000;

/** A page, and what its console said. */
export interface OpenedPage {
  readonly page: Page;
  /** Errors and warnings of the console, violations of the Content-Security-Policy among them, and uncaught errors. */
  readonly complaints: string[];
}

/** Opens pages in one headless browser, which ends with the test. */
export async function launch(
  t: TestContext,
): Promise<{ browser: Browser; open(options?: BrowserContextOptions): Promise<OpenedPage> }> {
  if (executablePath === undefined) throw new Error("needs chromium");
  // The sandbox needs user namespaces, which containers and root often lack. Only pages of the test are opened.
  const options = { executablePath, args: ["--no-sandbox"], timeout: pageTimeoutMs };
  const browser = await chromium.launch(options);
  t.after(() => browser.close());
  return {
    browser,
    async open(options = {}) {
      const context = await browser.newContext(options);
      context.setDefaultTimeout(pageTimeoutMs);
      const page = await context.newPage();
      const complaints: string[] = [];
      page.on("console", (message) => {
        if (message.type() === "error" || message.type() === "warning") complaints.push(message.text());
      });
      page.on("pageerror", (error) => complaints.push(error.message));
      page.on("dialog", (dialog) => {
        complaints.push(`dialog: ${dialog.message()}`);
        void dialog.dismiss();
      });
      return { page, complaints };
    },
  };
}
