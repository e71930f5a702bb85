#!/usr/bin/env node
import "./check-node.ts";
import { version } from "../lib/version.ts";
import { catchSignals } from "../process/signals.ts";
import { type Command, ExitCode } from "./command.ts";
import { complain, print } from "./terminal.ts";

const commands: Readonly<Record<string, { summary: string; load: () => Promise<Command> }>> = {
  serve: { summary: "run the tracker (the default)", load: () => import("./commands/serve.ts") },
  "check-config": {
    summary: "list the errors of a configuration",
    load: () => import("./commands/check-config.ts"),
  },
  reload: {
    summary: "reload the configuration of a running tracker, and print the result",
    load: () => import("./commands/reload.ts"),
  },
  health: {
    summary: "ask a running tracker whether it is ready",
    load: () => import("./commands/health.ts"),
  },
  config: {
    summary: "print the effective or the default configuration",
    load: () => import("./commands/config.ts"),
  },
  announce: {
    summary: "announce to any tracker, over HTTP, UDP or WebSocket",
    load: () => import("./commands/announce.ts"),
  },
  scrape: {
    summary: "scrape any tracker, over HTTP, UDP or WebSocket",
    load: () => import("./commands/scrape.ts"),
  },
  e2e: { summary: "check a running tracker from end to end", load: () => import("./commands/e2e.ts") },
  token: {
    summary: "make keys and sign announce URLs for the hook jwt",
    load: () => import("./commands/token.ts"),
  },
  admin: {
    summary: "make tokens for the admin API",
    load: () => import("./commands/admin.ts"),
  },
  top: {
    summary: "show what a running tracker does, in the terminal",
    load: () => import("./commands/top.ts"),
  },
  private: {
    summary: "make a private tracker, and manage its users and torrents",
    load: () => import("./commands/private.ts"),
  },
  "import-redis": {
    summary: "import the swarms that Chihaya has in Redis",
    load: () => import("./commands/import-redis.ts"),
  },
  "import-config": {
    summary: "translate the configuration of opentracker or bittorrent-tracker",
    load: () => import("./commands/import-config.ts"),
  },
  bench: {
    summary: "measure how many announces per second your tracker can serve",
    load: () => import("./commands/bench.ts"),
  },
};

const help = `chihaya ${version}: a BitTorrent tracker

Usage: chihaya [COMMAND] [OPTIONS]

Commands:
${Object.entries(commands)
  .map(([name, { summary }]) => `  ${name.padEnd(14)}${summary}`)
  .join("\n")}

"chihaya COMMAND --help" shows the options of a command.
Without a command and without a configuration file, chihaya runs a public tracker with the defaults: HTTP, UDP and
WebSocket on port 6969; metrics, health and the dashboard on http://127.0.0.1:6880.

Exit codes: 0 done, 1 failed, 2 wrong usage, 78 wrong configuration or Node.js too old.
`;

async function main(args: string[]): Promise<number> {
  const [first] = args;
  if (first === "--help" || first === "-h" || first === "help") {
    print(help);
    return ExitCode.ok;
  }
  if (first === "--version") {
    print(`${version}\n`);
    return ExitCode.ok;
  }
  const isNamed = first !== undefined && !first.startsWith("-");
  const entry = Object.hasOwn(commands, isNamed ? first : "serve") && commands[isNamed ? first : "serve"];
  if (!entry) {
    complain(`chihaya: unknown command ${JSON.stringify(first)}; "chihaya --help" lists them\n`);
    return ExitCode.usage;
  }
  const command = await entry.load();
  const rest = isNamed ? args.slice(1) : args;
  if (rest.includes("--help") || rest.includes("-h")) {
    print(command.help);
    return ExitCode.ok;
  }
  try {
    return await command.run(rest);
  } catch (error) {
    if (isUsageError(error)) {
      complain(`chihaya: ${error.message}\n`);
      return ExitCode.usage;
    }
    throw error;
  }
}

/** Whether `parseArgs` has thrown the error. */
function isUsageError(error: unknown): error is Error {
  return error instanceof Error && String((error as { code?: unknown }).code).startsWith("ERR_PARSE_ARGS");
}

/** Handles errors of standard output and standard error, which would otherwise end the process with a stack trace. */
function watchOutput(): void {
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") return; // the reader has closed the pipe: `chihaya config | head`
    complain(`chihaya: cannot write the output: ${error.message}\n`);
    hasLostOutput = true;
    if (process.exitCode === ExitCode.ok) process.exitCode = ExitCode.failed;
  });
  process.stderr.on("error", () => undefined);
}
let hasLostOutput = false;

/** Flags that may stand before the command, as in Chihaya: `chihaya --debug e2e`. */
const flagsOfAll = ["--debug", "--json", "--nocolors"];

function commandFirst(args: string[]): string[] {
  const at = args.findIndex((arg) => !flagsOfAll.includes(arg));
  const name = args[at];
  if (at <= 0 || name === undefined || !Object.hasOwn(commands, name)) return args;
  return [name, ...args.slice(0, at), ...args.slice(at + 1)];
}

const args = commandFirst(process.argv.slice(2));
if (args[0] === undefined || args[0] === "serve" || args[0].startsWith("-")) catchSignals();
watchOutput();
const code = await main(args);
process.exitCode = code === ExitCode.ok && hasLostOutput ? ExitCode.failed : code;
