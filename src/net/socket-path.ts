/** Longest path of a unix socket in bytes: `sun_path` without its NUL. */
const longestPath = process.platform === "linux" ? 107 : 103;

/** Returns why a path cannot be that of a unix socket; undefined if it can. */
export function checkSocketPath(path: string): string | undefined {
  if (path.includes("\0")) return "a path has no NUL character";
  const length = Buffer.byteLength(path);
  if (length > longestPath)
    return `the path has ${length} bytes, and that of a unix socket at most ${longestPath}; choose a shorter one`;
  return undefined;
}

/** Returns the path of the tracker's socket in the directory that systemd makes for a unit; undefined if it makes none. */
export function runtimeSocket(env: Readonly<Record<string, string | undefined>>): string | undefined {
  // A unit with several directories has colons between them.
  const directory = (env.RUNTIME_DIRECTORY ?? "").split(":")[0];
  return directory ? `${directory}/chihaya.sock` : undefined;
}
