import { accessSync, constants, statSync } from "node:fs";
import { maxKeySetLength, parseKeySet } from "../hooks/jwt/read-key-set.ts";
import { cannotRead, explainSystemError } from "../lib/file-errors.ts";
import { isPipe } from "../lib/open-file.ts";
import type { CheckReport } from "./checks.ts";
import type { Config } from "./config.ts";
import type { Path } from "./diagnostics.ts";
import type { HookConfig } from "./hooks/hooks.ts";
import { isUrl } from "./hooks/list-options.ts";
import { readText } from "./source.ts";

/** Reports the files of hooks without which the tracker does not start, and warns of lists that are not there. */
export function checkHookFiles({ preHooks, postHooks }: Config, report: CheckReport): void {
  for (const [list, hooks] of Object.entries({ prehooks: preHooks, posthooks: postHooks })) {
    for (const [index, hook] of hooks.entries()) {
      for (const { path, isFatal, problem } of problemsOf(hook)) {
        const at = [list, index, "options", ...path];
        if (!report.sound(at)) continue;
        if (isFatal) report.error(at, problem);
        else report.warning(at, problem);
      }
    }
  }
}

interface FileProblem {
  /** Below the hook's options. */
  path: Path;
  /** Whether it stops the start. */
  isFatal: boolean;
  problem: string;
}

function* problemsOf(hook: HookConfig): Generator<FileProblem> {
  if (hook.name === "jwt") {
    const { jwkSetFile } = hook.options;
    const problem = jwkSetFile === undefined ? undefined : keySetProblem(jwkSetFile);
    if (problem !== undefined) yield { path: ["jwk_set_file"], isFatal: true, problem };
  } else if (hook.name === "locality") {
    for (const [index, level] of hook.options.levels.entries()) {
      if (level.by !== "asn" && level.by !== "country") continue;
      const problem = fileProblem(level.file);
      if (problem !== undefined) yield { path: ["levels", index, level.by], isFatal: true, problem };
    }
  } else if (hook.name !== "module" && "lists" in hook.options && hook.options.lists !== undefined) {
    const { whitelistFrom, blacklistFrom, onFailure } = hook.options.lists;
    const effect = onFailure === "refuse" ? "refuses" : "allows";
    for (const [key, sources] of Object.entries({ whitelistFrom, blacklistFrom })) {
      for (const [index, source] of sources.entries()) {
        const problem = isUrl(source) ? undefined : fileProblem(source);
        if (problem === undefined) continue;
        const path = [key === "whitelistFrom" ? "whitelist_from" : "blacklist_from", index];
        const message = `${problem}; a tracker that starts without it ${effect} all requests (on_failure)`;
        yield { path, isFatal: false, problem: message };
      }
    }
  }
}

/** Whether a file is there and may be read. */
function fileProblem(path: string): string | undefined {
  try {
    const stat = statSync(path);
    if (stat.isDirectory()) return cannotRead(path, "is a directory, not a file");
    if (stat.isFIFO()) return cannotRead(path, isPipe);
    accessSync(path, constants.R_OK);
    return undefined;
  } catch (error) {
    return cannotRead(path, explainSystemError(error));
  }
}

function keySetProblem(path: string): string | undefined {
  const read = readText(path, maxKeySetLength);
  if ("problem" in read) return cannotRead(path, read.problem);
  const remedy = 'write the issuer\'s public keys there, as "chihaya token jwks" does';
  try {
    if (parseKeySet(read.text).length > 0) return undefined;
    return `${path} holds no key; ${remedy}`;
  } catch (error) {
    return `${path} is ${(error as Error).message}; ${remedy}`;
  }
}
