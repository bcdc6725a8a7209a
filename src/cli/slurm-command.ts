import { resolve } from "node:path";
import type { SlurmState } from "../experiments/runners/slurm/submit.ts";
import { columns } from "./output.ts";

/** This program, for the scripts of jobs: absolute, since they start by themselves. */
export const thisProgram = (): readonly string[] => [process.execPath, resolve(process.argv[1] ?? "")];

/** How far an experiment on Slurm is, a line a piece. */
export function describeSlurm({ name, pieces, live, failed, arrays }: SlurmState, logs: string): string {
  const count = (wanted: string): string => `${pieces.filter(({ state }) => state === wanted).length} ${wanted}`;
  return [
    columns(pieces.map(({ state, task = "", label }) => [state, task, label])),
    "",
    `${pieces.length} pieces of work: ${["there", "left out", "running", "waiting", "failed"].map(count).join(", ")}`,
    arrays === 0
      ? `${live} jobs and tasks wait or run; nothing more was submitted`
      : `submitted: ${arrays} array jobs, and one that collects`,
    ...failed.map(({ label, log }) => `failed before, submitted again: ${label} (${log})`),
    `Logs: ${logs}. The same command tells how far it is; to cancel: scancel --name=${name}`,
  ].join("\n");
}
