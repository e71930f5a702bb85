import { readFileSync } from "node:fs";
import { renderTranslation, type Translation } from "../../config/translate/translation.ts";
import { cannotRead, explainSystemError } from "../../lib/file-errors.ts";
import { ExitCode } from "../command.ts";
import { complain, print } from "../terminal.ts";

export const help = `Translates the configuration of another tracker, and prints it as YAML.

Usage: chihaya import-config opentracker FILE
       chihaya import-config bittorrent-tracker [FLAGS OF bittorrent-tracker]

  opentracker FILE     the file that opentracker reads with -f
  bittorrent-tracker   the command line of bittorrent-tracker, such as --port 8000 --trust-proxy

Lines and flags without a counterpart are named on standard error, each with the reason. Check the result:
chihaya import-config opentracker /etc/opentracker/opentracker.conf > chihaya.yaml && chihaya check-config chihaya.yaml

Exit codes: 0 done, 1 the file cannot be read, 2 wrong usage.
`;

export async function run([kind, ...args]: string[]): Promise<number> {
  if (kind === "opentracker") return importOpentracker(args);
  if (kind !== "bittorrent-tracker") {
    complain('chihaya: import-config needs "opentracker FILE" or "bittorrent-tracker FLAGS"\n');
    return ExitCode.usage;
  }
  const { translateBittorrentTracker } = await import("../../config/translate/bittorrent-tracker.ts");
  const words = args.length === 1 ? args[0]!.split(/\s+/).filter((word) => word !== "") : args;
  show(translateBittorrentTracker(words), `bittorrent-tracker ${words.join(" ")}`.trim());
  return ExitCode.ok;
}

async function importOpentracker([file, ...rest]: string[]): Promise<number> {
  if (file === undefined || rest.length > 0) {
    complain('chihaya: import-config opentracker needs one file; "chihaya import-config --help" says more\n');
    return ExitCode.usage;
  }
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    complain(`chihaya: ${cannotRead(file, explainSystemError(error))}\n`);
    return ExitCode.failed;
  }
  const { translateOpentracker } = await import("../../config/translate/opentracker.ts");
  show(translateOpentracker(text, file), file);
  return ExitCode.ok;
}

function show(translation: Translation, source: string): void {
  print(renderTranslation(translation, source.replace(/[^ -~]/g, "?")));
  for (const { at, reason } of translation.notes) complain(`${at}: ${reason}\n`);
}
