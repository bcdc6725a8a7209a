/** Exit codes by convention: 128 + number. SIGUSR1 is Slurm's early notice of the SIGTERM that follows. */
const EXIT_CODES = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129, SIGUSR1: 143 } as const;

type StopName = keyof typeof EXIT_CODES;

/** A stop request that the operating system's signals fill. */
export interface StopSignals {
  /** Aborted by the first signal; its reason is the signal's name. */
  readonly signal: AbortSignal;
  /** What the process should exit with after a clean stop; undefined when no signal came. */
  exitCode(): number | undefined;
  /** Takes these handlers away; those of others are left alone. */
  restore(): void;
}

/**
 * Turns SIGINT, SIGTERM, SIGHUP and SIGUSR1 into a stop request. SIGINT during a stop leaves at once with code 130.
 *
 * @example
 * const stop = stopOnSignals((name) => console.error(`${name}: stopping after this step, again to leave at once`));
 * await train({ signal: stop.signal, ... });
 * process.exitCode = stop.exitCode() ?? 0;
 */
export function stopOnSignals(onFirst: (name: StopName) => void = () => undefined): StopSignals {
  const controller = new AbortController();
  let first: StopName | undefined;
  const names = Object.keys(EXIT_CODES) as StopName[];
  const handle = (name: NodeJS.Signals): void => {
    if (first !== undefined) {
      if (name === "SIGINT") process.exit(EXIT_CODES.SIGINT);
      return;
    }
    first = name as StopName;
    controller.abort(first);
    onFirst(first);
  };
  for (const name of names) process.on(name, handle);
  return {
    signal: controller.signal,
    exitCode: () => (first === undefined ? undefined : EXIT_CODES[first]),
    restore: () => {
      for (const name of names) process.off(name, handle);
    },
  };
}
