import { spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { TrainerJob } from "./trainer.ts";

/** How a training process ended. */
export interface Ending {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly output: string;
  /** From the signal to the end. */
  readonly millisecondsAfterSignal: number;
}

/**
 * Runs the trainer as a process of its own. `kill` sends a signal so many milliseconds after the process began, or, for
 * signals that it shall handle, after it said that it can.
 */
export function runTrainer(
  program: string,
  job: TrainerJob,
  kill?: { signal: NodeJS.Signals; after: number; from: "spawn" | "started" },
): Promise<Ending> {
  const child = spawn(process.execPath, [program, JSON.stringify(job)], { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  let signalled = performance.now();
  let timer: NodeJS.Timeout | undefined;
  const schedule = (from: "spawn" | "started"): void => {
    if (kill?.from !== from || timer !== undefined) return;
    timer = setTimeout(() => {
      signalled = performance.now();
      child.kill(kill.signal);
    }, kill.after);
  };
  schedule("spawn");
  child.stdout.on("data", (text) => {
    output += text;
    schedule("started");
  });
  child.stderr.on("data", (text) => {
    output += text;
  });
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      resolve({ code, signal, output, millisecondsAfterSignal: performance.now() - signalled });
    });
  });
}

/** Everything that a finished run publishes, as text that compares byte by byte. */
export function resultBytes(run: string): Record<string, string> {
  const names = ["adapter/adapter_model.safetensors", "metrics.jsonl", "report.json", "run.json"];
  return Object.fromEntries(names.map((name) => [name, readFileSync(join(run, name)).toString("latin1")]));
}

/** Whether a process exists and has not ended; a zombie has. */
export function isRunning(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}

/** The process that holds a run's lock. */
export function lockHolder(run: string): { readonly pid: number } {
  const lock = join(run, "lock");
  return JSON.parse(readFileSync(join(lock, readdirSync(lock)[0]!), "utf8")) as { pid: number };
}
