/**
 * Characters that control a terminal, change the order of text, or are invisible: C0, DEL, C1, soft hyphen, line
 * separators, direction marks, zero-width characters, tags.
 */
export const unprintable: RegExp =
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]/gu;

/**
 * Escapes the unsafe characters of a foreign text as JSON does (`\u001b`). Escapes line feeds too, so that the text
 * cannot forge log lines.
 */
export function legible(text: string): string {
  return text.replace(unprintable, escapeUnits);
}

/** Does the same for a text of ours that contains foreign texts: line feeds and tabs stay, and JSON stays valid. */
export function legibleLines(text: string): string {
  return text.replace(unprintable, (found) =>
    found === "\n" || found === "\t" ? found : escapeUnits(found),
  );
}

/** Escapes each UTF-16 unit as JSON does. */
export function escapeUnits(found: string): string {
  let escaped = "";
  for (let i = 0; i < found.length; i++) escaped += `\\u${found.charCodeAt(i).toString(16).padStart(4, "0")}`;
  return escaped;
}
