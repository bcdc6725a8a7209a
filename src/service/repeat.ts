import type { Logger } from "./http/log.ts";

/** Something done again and again. */
export interface Repeated {
  /** No more; waits for what is being done. */
  stop(): Promise<void>;
}

/** Does `work` every so many seconds, never twice at once; what fails is logged and done again. */
export function repeat(seconds: number, log: Logger, work: () => Promise<void>): Repeated {
  let timer: NodeJS.Timeout | undefined;
  let over = false;
  let doing: Promise<void> = Promise.resolve();
  const next = (): void => {
    if (over) return;
    timer = setTimeout(() => {
      doing = work()
        .catch((error: unknown) => log.error({ err: error }, "regular work failed"))
        .then(next);
    }, seconds * 1000);
    timer.unref();
  };
  next();
  return {
    async stop() {
      over = true;
      clearTimeout(timer);
      await doing;
    },
  };
}
