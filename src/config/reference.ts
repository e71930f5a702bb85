import type { AnyBlock } from "../options/index.ts";
import { variableName } from "./environment.ts";
import { builtIn } from "./frontends.ts";
import { type AnyValue, type Field, outline } from "./outline.ts";
import { inline } from "./render.ts";
import type { Plain } from "./tree.ts";
import type { Usable, UseList, UseValue } from "./uses.ts";

/** What is said before the options of a store. */
const about: Readonly<Record<string, string>> = {
  redis:
    "For several trackers over one engine: [redis.md](redis.md). The package `@redis/client` must be installed.\n\n",
};

/** The text of `docs/configuration.md`. */
export function renderReference(): string {
  const byKey = (key: string): AnyValue => outline.fields.get(key)!;
  const storage = byKey("storage") as UseValue<unknown>;
  const stores = [...storage.variants].map(([name, variant]) => ({
    name,
    config: variant.fields.get("config") as AnyBlock,
  }));
  const obsolete = new Map(
    stores.flatMap(({ config }) =>
      [...config.fields].filter(([, { isObsolete, facts }]) => isObsolete && facts.kind !== ""),
    ),
  );
  const hooks = (byKey("prehooks") as UseList<unknown>).item.definitions;
  return `# Configuration

<!-- Generated from src/config by "npm run gen". -->

Without a configuration a public tracker runs: HTTP and UDP on port 6969, metrics on 127.0.0.1:6880. A file changes
that. It is YAML, everything stands below \`chihaya:\`, and the names are Chihaya's, whose own files run unmodified:

\`\`\`yaml
chihaya:
  announce_interval: "30m"
  http:
    addr: "0.0.0.0:6969"
  udp:
    addr: "0.0.0.0:6969"
    private_key: "\${CHIHAYA_KEY}"
  prehooks:
    - name: "torrent approval"
      options:
        whitelist: ["0123456789abcdef0123456789abcdef01234567"]
\`\`\`

**A frontend whose block is missing is off.** A block without keys has the defaults.
[chihaya.example.yaml](../chihaya.example.yaml) is a file with every setting and its default (\`chihaya config --default\`
prints it), \`config.schema.json\` is a JSON Schema for editors.

## Where settings come from

The file is the one of \`--config FILE\`, else of the variable \`CHIHAYA_CONFIG\`, else \`/etc/chihaya.yaml\` if it exists.
Flags win over the environment, the environment over the file, the file over the defaults:

- \`--set http.addr=127.0.0.1:7000\` sets one value; it can be repeated.
- \`${variableName(["http", "addr"])}=127.0.0.1:7000\` does so from the environment: \`CHIHAYA_\` and the path in capitals, with
  two underscores where it has a dot. To set a value of a frontend turns that frontend on.
- A list is one text there, with commas. Hooks can only be set in the file.
- In any value of the file \`\${NAME}\` is replaced by that variable, and \`\${NAME:-default}\` by the default if the variable
  is missing or empty. A missing variable without a default is an error. \`$\${\` stands for \`\${\`.
- A secret can be read from a file: \`private_key_file\` instead of \`private_key\`.

## Checking

\`chihaya check-config FILE\` says all that is wrong at once, each with its place and with what would be right, and exits
with 78 if the file cannot be used (with 0 if there are only warnings). Files that it names must be there, lists of
approval hooks excepted: those are warnings. \`--json\` is for programs. \`chihaya config\` prints what the tracker would
run with. Secrets are masked, user and query of every URL, and options of your own hooks that are named like a secret.

Keys that are not known are refused. Anchors, aliases and merge keys (\`<<: *name\`) work; beside \`chihaya:\` there may be
keys that hold an anchor or begin with \`x-\`. A value that needs another one to have an effect, or is allowed and doubtful,
is a warning. A file may have 1 MiB, in UTF-8.

## Reload

SIGHUP and SIGUSR1 load it all again, the certificates too, without closing a socket or losing a peer. A
configuration with a mistake changes nothing. What is marked with † below is taken only at a start, and so are
frontends that come or go.

## Values

- *duration*: \`30m\`, \`1h30m\`, \`15s\`, \`500ms\`, as Go writes them. A number without a unit is refused, but for 0. At most 596h.
- *address*: \`0.0.0.0:6969\`, \`[::1]:6969\`, \`localhost:6969\`. \`:6969\`, and \`[::]:6969\` where it is the only one, are all
  addresses of IPv4 and IPv6, as in Go; in a list of several, \`[::]:6969\` is all of IPv6. Other names are not looked up.
- *list*: a YAML list, or one text with commas.
- Paths of files are seen from the directory in which the tracker is started; only \`module\` of a hook is seen from the
  configuration's folder.

## \`chihaya\`

${table(outline)}

## \`chihaya.external_ip\`

${byKey("external_ip").description}

A peer that comes from one of the \`networks\` is stored under the address of its family: other peers get that one. Peers of
both protocols count, and so do addresses that a client names (\`allow_ip_spoofing\`). Prehooks, such as \`ip approval\` and
\`rate limit\`, see the address that the peer comes from. The store, hooks around the store such as \`locality\`, and posthooks
see the external one. The port stays: forward it. An address of your own network that is not in the list, such as one of
\`100.64.0.0/10\`, needs \`networks\`, which replaces the list.

${table(byKey("external_ip") as AnyBlock)}

${builtIn.map(({ name }) => `## \`chihaya.${name}\`\n\n${byKey(name).description}\n\n${table(byKey(name) as AnyBlock)}`).join("\n\n")}

## \`chihaya.frontends\`

${byKey("frontends").description} How to write one: [embedding.md](embedding.md#a-frontend-of-your-own).

## \`chihaya.storage\`

${byKey("storage").description}

${table(storage.variants.values().next().value!)}

${stores
  .map(
    ({ name, config }) =>
      `### \`chihaya.storage.config\` for \`${name}\`\n\n${about[name] ?? ""}${table(config)}\n`,
  )
  .join("\n")}

## \`chihaya.prehooks\` and \`chihaya.posthooks\`

${byKey("prehooks").description} ${byKey("posthooks").description}
Each has a \`name\` and \`options\`. The built-in hooks have an effect only among the prehooks.

${hooks.map(renderHook).join("\n")}
## From Chihaya

These are accepted as well:

- Without effect: ${[...obsolete]
    .map(
      ([key, { description }]) =>
        `\`storage.config.${key}\` (${description.replace(/\.$/, "").toLowerCase()})`,
    )
    .join(", ")}.
- Older spellings, each with a warning that says what to write: \`config\` for a hook's \`options\`; \`prometheus_addr\` for
  \`metrics_addr\`; \`storage.config.shards\`; \`http.enable_legacy_php_urls\`; \`http.request_timeout\`; \`max_numwant\`,
  \`default_numwant\` and \`max_scrape_infohashes\` at the top, for both frontends; the store's options (and \`max_numwant\`)
  below \`storage\` itself.
- \`yes\`, \`no\`, \`on\` and \`off\` for true and false, and \`_\` between digits.
- 0 for the default where Chihaya takes it so (limits, timeouts, \`gc_interval\`, \`peer_lifetime\`), with a warning.

What is different:

- Unknown keys and durations without a unit are mistakes; Chihaya ignores the ones and takes the others for nanoseconds.
- \`https_addr\` works without \`addr\`. A block without \`addr\` has the default addresses; Chihaya turns the frontend off.
- \`real_ip_header\` is believed only from \`trusted_proxies\`.
- \`enable_keepalive\` is true unless it is set.
- The store \`redis\` keeps its data in another way; \`chihaya import-redis\` takes over what Chihaya has. \`redis://:text@host\` has the password \`text\`; for
  Chihaya it is \`:text\`.
`;
}

function renderHook({ name, description }: Usable): string {
  return `- [\`${name}\`](hooks.md#${name.replaceAll(" ", "-")}): ${description}`;
}

/** Renders the values of a block as a table, without the blocks in it. */
export function table({ fields }: AnyBlock): string {
  const rows = [...fields].flatMap(([key, value]: Field) => {
    const { facts, byDefault, description, isObsolete } = value;
    if (isObsolete || facts.kind === "") return [];
    const shown =
      byDefault === undefined
        ? value.mayBeMissing
          ? ""
          : "required"
        : `\`${inline(byDefault as Plain, facts.json.type)}\``;
    return [`| \`${key}\`${facts.restart ? " †" : ""} | ${facts.kind} | ${shown} | ${description} |`];
  });
  return `| key | value | default | meaning |\n|---|---|---|---|\n${rows.join("\n")}`;
}
