/** What the daemon does on a signal. */
export interface SignalHandlers {
  /** SIGINT and SIGTERM. */
  stop(signal: NodeJS.Signals): void;
  /** SIGHUP and SIGUSR1. */
  reload(signal: NodeJS.Signals): void;
}

let early: NodeJS.Signals | undefined;

/** Before there is a daemon: a stop is the end, and a reload has to wait. */
let handlers: SignalHandlers = {
  stop: () => process.exit(0),
  reload(signal) {
    early = signal;
  },
};

/**
 * Listens to the signals of the daemon. To be called first of all: without a listener SIGHUP ends the process, SIGUSR1
 * opens Node's inspector, and process 1 of a container does not react to SIGTERM.
 */
export function catchSignals(): void {
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => handlers.stop(signal));
  for (const signal of ["SIGHUP", "SIGUSR1"] as const) process.on(signal, () => handlers.reload(signal));
}

/** Has signals handled from now on, and first the reload that has been asked for already. */
export function handleSignals(next: SignalHandlers): void {
  handlers = next;
  if (early !== undefined) next.reload(early);
  early = undefined;
}
