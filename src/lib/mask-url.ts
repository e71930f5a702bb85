const masked = "********";

/**
 * Masks the secret parts of a URL: user and password, query and fragment. Also masks a URL that does not parse. Returns
 * any other text unchanged.
 */
export function maskUrl(text: string): string {
  const scheme = /^[a-z][\w+.-]*:\/\//i.exec(text)?.[0];
  if (scheme === undefined) return text;
  // A Redis password may contain any character; in an HTTP URL, path and query may contain an @.
  const user = /^https?:/i.test(scheme) ? /^[^/]*@/ : /^.*@/s;
  const rest = text.slice(scheme.length).replace(user, `${masked}@`);
  return scheme + rest.replace(/([?#]).*/s, `$1${masked}`);
}
