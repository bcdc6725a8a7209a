import { type ChildProcess, spawn } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "./http/log.ts";

/** How long a worker that died is waited for, at first and at most. */
const BACKOFF_MS = { first: 500, most: 30_000 };

/** Worker processes of this server; one that dies is started again. */
export interface Workers {
  /** Asks them to give their jobs back, and waits. */
  stop(seconds: number): Promise<void>;
}

/**
 * Starts the workers. They are processes like those on other hosts, and talk to the server in the same way.
 *
 * @param program the program and its arguments, such as `["main.js", "worker", "--server", url]`
 */
export function startWorkers(count: number, program: readonly string[], log: Logger): Workers {
  const running = new Set<ChildProcess>();
  let stopping = false;
  const keep = async (): Promise<void> => {
    for (let wait = BACKOFF_MS.first; !stopping; wait = Math.min(BACKOFF_MS.most, wait * 2)) {
      const began = performance.now();
      const child = spawn(process.execPath, [...program], {
        // By the channel a worker sees that its server is gone, however that ended.
        stdio: ["ignore", "ignore", "inherit", "ipc"],
      });
      running.add(child);
      const code = await new Promise<number | string | null>((resolve) => {
        child.once("error", () => resolve("no start"));
        child.once("exit", (exit, signal) => resolve(exit ?? signal));
      });
      running.delete(child);
      if (stopping) return;
      log.warn({ code: String(code) }, "a worker ended; it is started again");
      if (performance.now() - began > BACKOFF_MS.most) wait = BACKOFF_MS.first;
      await sleep(wait, undefined, { ref: false });
    }
  };
  const all = Promise.all(Array.from({ length: count }, keep));
  const killAll = (signal: NodeJS.Signals) => {
    for (const child of running) child.kill(signal);
  };
  const onExit = (): void => killAll("SIGKILL");
  process.once("exit", onExit);
  return {
    async stop(seconds) {
      stopping = true;
      killAll("SIGTERM");
      const timer = setTimeout(() => killAll("SIGKILL"), seconds * 1000);
      while (running.size > 0) await sleep(50);
      clearTimeout(timer);
      process.off("exit", onExit);
      void all;
    },
  };
}
