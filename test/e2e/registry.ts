import { join } from "node:path";
import { findFreePort } from "./ports.ts";
import { type RunningProcess, startProcess } from "./process.ts";
import { waitUntil } from "./wait-until.ts";

const script = join(import.meta.dirname, "registry-process.ts");

/** A registry in a process of its own. */
export class Registry {
  /** Where its keys are. */
  readonly keysUrl: string;
  readonly process: RunningProcess;

  private constructor(port: number) {
    this.keysUrl = `http://127.0.0.1:${port}/keys`;
    this.process = startProcess("registry", process.execPath, [script, String(port)]);
  }

  static async start(): Promise<Registry> {
    const registry = new Registry(await findFreePort());
    await waitUntil("the registry answers", async () => {
      if (registry.process.ended !== undefined) throw new Error(registry.process.output());
      return fetch(registry.keysUrl).then(
        ({ ok }) => ok,
        () => false,
      );
    });
    return registry;
  }

  /** Signs the claims of a token with the newest key. */
  async sign(claims: object, algorithm = "RS256"): Promise<string> {
    return (await this.tell(`/sign?algorithm=${algorithm}`, JSON.stringify(claims))) as string;
  }

  async tell(path: string, body = ""): Promise<unknown> {
    const response = await fetch(new URL(path, this.keysUrl), { method: "POST", body });
    const text = await response.text();
    return text === "" ? undefined : JSON.parse(text);
  }
}
