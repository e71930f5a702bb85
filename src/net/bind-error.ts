const remedies: Readonly<Record<string, string>> = {
  EADDRINUSE: "the address is in use; stop the program that listens there, or choose another port",
  EACCES: "permission denied; ports below 1024 need a privilege (CAP_NET_BIND_SERVICE) or another port",
  EADDRNOTAVAIL: "this machine does not have that address; listen on one of its own, or on all of them",
  EAFNOSUPPORT: "the system has no support for that address family; IPv6 may be turned off",
};

/**
 * Creates the error of a failed bind: the address as a URL, the cause, and the remedy. The system's error is the
 * `cause`.
 */
export function bindError(scheme: string, host: string, port: number, cause: unknown): Error {
  const code = (cause as { code?: unknown } | undefined)?.code;
  const why =
    (typeof code === "string" && remedies[code]) || (cause instanceof Error ? cause.message : `${cause}`);
  return new Error(`cannot listen on ${formatUrl(scheme, host, port)}: ${why}`, { cause });
}

/** Formats an address as a URL without a path: `udp://[::1]:6969`. */
export function formatUrl(scheme: string, host: string, port: number): string {
  return `${scheme}://${host.includes(":") ? `[${host}]` : host}:${port}`;
}
