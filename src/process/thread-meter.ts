/** Seconds over which a share of CPU time is measured at least. */
const shortest = 1;

/** The CPU time of a thread, and its clock, as the system gives them. */
export interface ThreadTimes {
  /** Seconds since the thread has started. */
  now(): number;
  /** Seconds of CPU time; undefined if this version of Node.js does not say. */
  cpu(): number | undefined;
}

/** The times of this thread. */
export const threadTimes: ThreadTimes = {
  now: () => performance.now() / 1000,
  cpu() {
    const used: NodeJS.CpuUsage | undefined = process.threadCpuUsage?.();
    return used && (used.user + used.system) / 1e6;
  },
};

/** Measures how much of a core a thread uses. */
export class ThreadMeter {
  readonly #times: ThreadTimes;
  #from = { at: 0, cpu: 0 };
  #share: number | undefined;

  constructor(times: ThreadTimes = threadTimes) {
    this.#times = times;
  }

  /** Returns the share since the last call, or since the start; within a second of the last call, the same as that call. */
  read(): { cpu: number | undefined; uptimeSeconds: number } {
    const at = this.#times.now();
    const cpu = this.#times.cpu();
    const seconds = at - this.#from.at;
    if (cpu !== undefined && seconds >= shortest) {
      this.#share = (cpu - this.#from.cpu) / seconds;
      this.#from = { at, cpu };
    }
    return { cpu: this.#share, uptimeSeconds: at };
  }
}
