const masked = "********";

/**
 * Masks what may be secret in a URL: user and password, query and fragment. Returns any other text as it is. A URL that
 * cannot be parsed is masked too.
 */
export function maskUrl(text: string): string {
  const scheme = /^[a-z][\w+.-]*:\/\//i.exec(text)?.[0];
  if (scheme === undefined) return text;
  // A password of Redis may have any character; in a URL of HTTP an @ may stand in path and query.
  const user = /^https?:/i.test(scheme) ? /^[^/]*@/ : /^.*@/s;
  const rest = text.slice(scheme.length).replace(user, `${masked}@`);
  return scheme + rest.replace(/([?#]).*/s, `$1${masked}`);
}
