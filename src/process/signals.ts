/** The daemon's reactions to signals. */
export interface SignalHandlers {
  /** SIGINT and SIGTERM. */
  stop(signal: NodeJS.Signals): void;
  /** SIGHUP and SIGUSR1. */
  reload(signal: NodeJS.Signals): void;
}

let early: NodeJS.Signals | undefined;

/** Until the daemon exists, a signal to stop ends the process, and a signal to reload waits. */
let handlers: SignalHandlers = {
  stop: () => process.exit(0),
  reload(signal) {
    early = signal;
  },
};

/**
 * Listens to the signals of the daemon. Call this before anything else: without a listener, SIGHUP ends the process, SIGUSR1
 * opens Node's inspector, and process 1 of a container ignores SIGTERM.
 */
export function catchSignals(): void {
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => handlers.stop(signal));
  for (const signal of ["SIGHUP", "SIGUSR1"] as const) process.on(signal, () => handlers.reload(signal));
}

/** Handles signals with `next` from now on, beginning with a signal to reload that came before. */
export function handleSignals(next: SignalHandlers): void {
  handlers = next;
  if (early !== undefined) next.reload(early);
  early = undefined;
}
