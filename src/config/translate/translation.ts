import { block } from "../render.ts";

/** A line or an option that has no counterpart, or one that differs. */
export interface TranslationNote {
  /** `opentracker.conf:12: listen.udp.workers`, or `--ws`. */
  readonly at: string;
  /** What the operator should know or do. */
  readonly reason: string;
}

/** A configuration of another tracker as one of this tracker. */
export interface Translation {
  /** The mapping below `chihaya`. */
  readonly settings: Readonly<Record<string, unknown>>;
  readonly notes: readonly TranslationNote[];
}

/** Renders the settings as a configuration file. @param source  what they were translated from, one line */
export function renderTranslation({ settings }: Translation, source: string): string {
  return `# Translated from ${source}.\nchihaya:\n${block(settings, "  ")}`;
}
