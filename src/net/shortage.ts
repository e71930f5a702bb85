/** Errors of `accept` when the resources for a connection are exhausted, with the remedy. */
const shortages: Readonly<Record<string, string>> = {
  EMFILE:
    "this process has no file descriptors left, so new connections are not accepted; raise its limit: LimitNOFILE= " +
    "in the systemd unit, --ulimit nofile= of the container, or ulimit -n in the shell",
  ENFILE:
    "this system has no file descriptors left, so new connections are not accepted; raise the sysctl fs.file-max",
  ENOMEM: "the kernel has no memory left for connections, so new ones are not accepted",
  ENOBUFS: "the kernel has no memory left for connections, so new ones are not accepted",
};

/** Describes the shortage and the remedy for an error of a listener; undefined for every other error. */
export function describeShortage(error: Error): string | undefined {
  return shortages[(error as NodeJS.ErrnoException).code ?? ""];
}

/** Returns whether a log line came from {@link describeShortage}. */
export function isShortage(message: string): boolean {
  return Object.values(shortages).includes(message);
}
