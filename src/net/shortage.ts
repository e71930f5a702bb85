/** What `accept` fails with while nothing is left to make a connection of, and what can be done about it. */
const shortages: Readonly<Record<string, string>> = {
  EMFILE:
    "this process has no file descriptors left, so new connections are not accepted; raise its limit: LimitNOFILE= " +
    "in the systemd unit, --ulimit nofile= of the container, or ulimit -n in the shell",
  ENFILE:
    "this system has no file descriptors left, so new connections are not accepted; raise the sysctl fs.file-max",
  ENOMEM: "the kernel has no memory left for connections, so new ones are not accepted",
  ENOBUFS: "the kernel has no memory left for connections, so new ones are not accepted",
};

/** Says what is short and how to get more, for an error that a listener reports; undefined for every other error. */
export function describeShortage(error: Error): string | undefined {
  return shortages[(error as NodeJS.ErrnoException).code ?? ""];
}

/** Whether a line of the log came from {@link describeShortage}. */
export function isShortage(message: string): boolean {
  return Object.values(shortages).includes(message);
}
