import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { TrainerJob } from "./trainer.ts";

/** How a training process ended. */
export interface Ending {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly output: string;
  /** From the (first) signal to the end. */
  readonly millisecondsAfterSignal: number;
}

/** Runs the trainer as a process of its own; `killAfter` milliseconds later it gets `signals`, SIGKILL by default. */
export function runTrainer(
  program: string,
  job: TrainerJob,
  { killAfter, signals = ["SIGKILL"] }: { killAfter?: number; signals?: readonly NodeJS.Signals[] } = {},
): Promise<Ending> {
  const child = spawn(process.execPath, [program, JSON.stringify(job)], { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  let signalled = performance.now();
  child.stdout.on("data", (text) => (output += text));
  child.stderr.on("data", (text) => (output += text));
  const timer =
    killAfter === undefined
      ? undefined
      : setTimeout(() => {
          signalled = performance.now();
          for (const signal of signals) child.kill(signal);
        }, killAfter);
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
