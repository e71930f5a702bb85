import type { Clock } from "../lib/clock.ts";
import type { Probe, ProbeDeps } from "../lib/probe.ts";
import { readOptions } from "../options/schema.ts";
import * as builtInStores from "../storage/index.ts";
import type { Config } from "./config.ts";
import { filesOf, findHook } from "./definition-checks.ts";
import { formatPath } from "./diagnostics.ts";
import { type Definition, importDefinition } from "./import-definition.ts";
import type { Plain } from "./tree.ts";

/** A probe, with the part of the configuration that needs it. */
export interface PlacedProbe extends Probe {
  /** `storage`, `prehooks[0]`. */
  readonly path: string;
}

/** Lists the servers, URLs and files that a checked configuration names. Files were tried by its check already. */
export async function probesOf(config: Config, document: Plain): Promise<PlacedProbe[]> {
  const { storage, preHooks, postHooks } = config;
  const found: PlacedProbe[] = [];
  const add = (path: string, probes: readonly Probe[]) =>
    found.push(...probes.map(({ name, run }) => ({ name, path, run })));
  for (const name of ["http", "admin"]) {
    for (const key of ["tls_cert_path", "tls_key_path"]) {
      const file = (document as Blocks)[name]?.[key];
      if (file) add(name, [readable(file)]);
    }
  }
  const store = Object.values(builtInStores).find(({ name }) => name === storage.name);
  const uses: readonly Use[] = [
    {
      path: "storage",
      definition: store,
      module: storage.module,
      options: storage.config,
      define: "defineStore",
    },
    ...Object.entries({ prehooks: preHooks, posthooks: postHooks }).flatMap(([list, hooks]) =>
      hooks.map((hook, index) => ({
        path: formatPath([list, index]),
        definition: findHook(hook),
        module: hook.module,
        options: hook.options,
        define: "defineHook",
      })),
    ),
  ];
  for (const { path, definition, module, options, define } of uses) {
    if (module !== undefined) {
      const own: Probing = await importDefinition(module, define);
      if (own.probes === undefined) continue;
      const kind = define === "defineHook" ? "hook" : "store";
      add(path, own.probes((await readOptions(own, options, kind)) as never, { clock }));
    } else if (definition !== undefined) {
      const probes = definition.probes?.(options as never, { clock }) ?? [];
      const named = new Set(probes.map(({ name }) => name));
      const files = filesOf(definition, options).filter((file) => !named.has(file));
      add(path, [...files.map(readable), ...probes]);
    }
  }
  return found;
}

type Blocks = Readonly<Record<string, Readonly<Record<string, string>> | undefined>>;

interface Probing extends Definition {
  probes?(options: never, deps: ProbeDeps): readonly Probe[];
}

interface Use {
  readonly path: string;
  readonly definition: Probing | undefined;
  readonly module: string | undefined;
  readonly options: unknown;
  readonly define: string;
}

/** The clock of this machine, read each time. */
const clock: Clock = {
  get seconds() {
    return performance.now() / 1000;
  },
  get unixSeconds() {
    return Math.floor(Date.now() / 1000);
  },
};

/** A file that the check of the configuration has read. */
function readable(name: string): Probe {
  return { name, run: async () => "readable" };
}
