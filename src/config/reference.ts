import { builtIn } from "../frontend/built-in.ts";
import type { AnyBlock } from "../options/index.ts";
import { variableName } from "./environment.ts";
import { type AnyValue, type Field, outline } from "./outline.ts";
import { inline } from "./render.ts";
import type { Plain } from "./tree.ts";
import type { Usable, UseList, UseValue } from "./uses.ts";

/** Introductions to the options of stores. */
const about: Readonly<Record<string, string>> = {
  redis:
    "For several trackers with one Redis: [redis.md](redis.md). The package `@redis/client` must be installed.\n\n",
};

/** Renders `docs/configuration.md`. */
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
  const opentracker = (byKey("http") as AnyBlock).fields.get("opentracker") as AnyBlock;
  const liveSync = opentracker.fields.get("livesync") as AnyBlock;
  const hooks = (byKey("prehooks") as UseList<unknown>).item.definitions;
  return `# Configuration

<!-- Generated from src/config by "npm run gen". -->

Without a configuration, Chihaya runs a public tracker: HTTP, UDP and WebSocket on port 6969, metrics on 127.0.0.1:6880. A YAML file
changes this. All settings are below \`chihaya:\`. They have the names of the original Chihaya, whose files work unmodified:

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

**A frontend without a block is off.** A block without keys has the defaults.
[chihaya.example.yaml](../chihaya.example.yaml) lists every setting with its default; \`chihaya config --default\` prints
this file. \`config.schema.json\` is a JSON Schema for editors.

## Where settings come from

The tracker reads the first of these files: the one of \`--config FILE\`, the one of the variable \`CHIHAYA_CONFIG\`,
\`/etc/chihaya.yaml\`. Flags override the environment, the environment overrides the file, and the file overrides the
defaults:

- The flag \`--set http.addr=127.0.0.1:7000\` sets one value. The flag can be repeated.
- The variable \`${variableName(["http", "addr"])}=127.0.0.1:7000\` sets the same value: the name is \`CHIHAYA_\` and the path in
  capitals, with two underscores for each dot. Setting a value of a frontend turns this frontend on.
- In flags and variables, write a list as one text with commas. Hooks can only be set in the file.
- In any value of the file, \`\${NAME}\` is replaced by the variable \`NAME\`. \`\${NAME:-default}\` is replaced by \`default\` if
  the variable is missing or empty. A missing variable without a default is an error. Write \`$\${\` for the text \`\${\`.
- A secret can come from a file: set \`private_key_file\` instead of \`private_key\`.

## Checking

\`chihaya check-config FILE\` lists all mistakes of a file, each with its place and its remedy. The command exits with 78 if
the tracker cannot run with the file, and with 0 if there are only warnings. A missing file that the configuration names
is an error, but a missing list of an approval hook is a warning. \`--json\` prints the result for programs.

\`chihaya check-config FILE --connect\` also tries the servers, URLs and files that the configuration names: Redis, the URLs of
lists and of the keys of \`jwt\`, certificates, databases. The command prints each, and exits with 1 if one cannot be used.

The check and each start of the tracker warn of what is legal but likely wrong: a certificate that has expired or will within
14 days, \`metrics_addr\` on a public address, an admin API that is off because of that, a limit of open files below
\`max_connections\`, a \`peer_lifetime\` below the interval.

\`chihaya config\` prints the effective configuration. The output masks secrets, the user and the query of every URL, and
options of your own hooks whose names look like secrets.

Unknown keys are errors. Anchors, aliases and merge keys (\`<<: *name\`) work. Other top-level keys than \`chihaya:\` may hold
an anchor or begin with \`x-\`. A value without effect, and a value that is allowed but dubious, is a warning. A file may
have up to 1 MiB, in UTF-8.

## Reload

SIGHUP and SIGUSR1 reload the configuration and all files that it names, such as certificates. A reload closes no socket
and loses no peer. A configuration with an error changes nothing. A change of a key with the mark † needs a restart, and
so does adding or removing a frontend; the log names the keys whose change waits for a restart.

## Values

- *duration*: \`30m\`, \`1h30m\`, \`15s\`, \`500ms\`, as in Go, up to 596h. A number without a unit is an error, except 0.
- *address*: \`0.0.0.0:6969\`, \`[::1]:6969\`, \`localhost:6969\`. Other host names are errors. As in Go, \`:6969\` means all IPv4
  and IPv6 addresses. \`[::]:6969\` means the same if it is the only address; in a list, it means all IPv6 addresses.
- *list*: a YAML list, or one text with commas.
- Paths of files are relative to the working directory of the tracker. Only the path of a \`module\` is relative to the
  folder of the configuration.

## \`chihaya\`

${table(outline)}

## \`chihaya.external_ip\`

${byKey("external_ip").description}

A peer from one of the \`networks\` is stored under the external address of its family, and other peers get this address.
This applies to HTTP and UDP, and to addresses that a client names itself (\`allow_ip_spoofing\`). Prehooks, such as
\`ip approval\` and \`rate limit\`, see the original address. The store, hooks around the store such as \`locality\`, and
posthooks see the external address. The port does not change, so forward the port. \`networks\` replaces the default list: set
it if your network has other addresses, such as \`100.64.0.0/10\`.

${table(byKey("external_ip") as AnyBlock)}

## \`chihaya.admin\`

${byKey("admin").description} [admin.md](admin.md) says how to use them.

${table(byKey("admin") as AnyBlock)}

Each of the \`tokens\`:

${table(((byKey("admin") as AnyBlock).fields.get("tokens") as unknown as { item: AnyBlock }).item)}

## \`chihaya.private\`

${byKey("private").description.replace("`docs/private.md`", "[private.md](private.md)")}

${table(byKey("private") as AnyBlock)}

The block \`journal\`: ${(byKey("private") as AnyBlock).fields.get("journal")!.description}

${table((byKey("private") as AnyBlock).fields.get("journal") as AnyBlock)}

${builtIn.map(({ name }) => `## \`chihaya.${name}\`\n\n${byKey(name).description}\n\n${table(byKey(name) as AnyBlock)}`).join("\n\n")}

## \`chihaya.http.opentracker\`

${opentracker.description} [migrating-from-opentracker.md](migrating-from-opentracker.md) describes the pages.

${table(opentracker)}

## \`chihaya.http.opentracker.livesync\`

${liveSync.description} [migrating-from-opentracker.md](migrating-from-opentracker.md#live-sync) says more.

${table(liveSync)}

## \`chihaya.frontends\`

${byKey("frontends").description} [embedding.md](embedding.md#a-frontend-of-your-own) shows how to write a frontend.

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
Each hook has a \`name\` and \`options\`. The built-in hooks have an effect only as prehooks.

${hooks.map(renderHook).join("\n")}
## From Chihaya

Chihaya for TypeScript also accepts:

- keys without effect: ${[...obsolete]
    .map(
      ([key, { description }]) =>
        `\`storage.config.${key}\` (${description.replace(/\.$/, "").toLowerCase()})`,
    )
    .join(", ")}.
- older spellings, each with a warning that names the new key: \`config\` for a hook's \`options\`; \`prometheus_addr\` for
  \`metrics_addr\`; \`storage.config.shards\`; \`http.enable_legacy_php_urls\`; \`http.request_timeout\`; \`max_numwant\`,
  \`default_numwant\` and \`max_scrape_infohashes\` at the top, for both frontends; the store's options (and \`max_numwant\`)
  directly below \`storage\`.
- \`yes\`, \`no\`, \`on\` and \`off\` for true and false, and \`_\` between digits.
- 0 for the default, with a warning, in the keys where Chihaya reads 0 so: limits, timeouts, \`gc_interval\`,
  \`peer_lifetime\`.

Differences from Chihaya:

- Unknown keys are errors; Chihaya ignores unknown keys.
- Durations without a unit are errors; Chihaya reads such durations as nanoseconds.
- \`https_addr\` works without \`addr\`. A block without \`addr\` has the default addresses; in Chihaya, such a frontend is off.
- The tracker believes \`real_ip_header\` only from \`trusted_proxies\`.
- \`enable_keepalive\` is true by default.
- The store \`redis\` has another format; \`chihaya import-redis\` imports the swarms of Chihaya. In
  \`redis://:text@host\` the password is \`text\`; in Chihaya it is \`:text\`.
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
