import { BoosterError } from "../../../errors.ts";
import { ENDED, slurm } from "../../../train/slurm.ts";

/** What one of Slurm's programs says. @throws {BoosterError} `SLURM_FAILED` */
function asked(program: string, args: readonly string[]): string {
  const { status, stdout, stderr } = slurm(program, args);
  if (status === 0) return stdout;
  throw new BoosterError("SLURM_FAILED", `${program} did not do what it was asked`, {
    found: stderr.trim() || `exit code ${status}`,
    where: [program, ...args].join(" "),
    hint: "Slurm's programs must be found on this host, and its controller must answer.",
  });
}

/** Jobs and tasks of a name that wait or run, with their states. @throws {BoosterError} `SLURM_FAILED` */
export function liveJobs(name: string): Map<string, string> {
  const told = asked("squeue", ["--noheader", "--array", "--states=all", `--name=${name}`, "--format=%i %T"]);
  const jobs = told.split("\n").flatMap((line) => {
    const [id = "", state = ""] = line.trim().split(/\s+/);
    return id === "" || ENDED.has(state) ? [] : [[id, state] as const];
  });
  return new Map(jobs);
}

/** @returns the job's number. @throws {BoosterError} `SLURM_FAILED` */
export const submitScript = (path: string): string =>
  asked("sbatch", ["--parsable", path]).trim().split(";")[0] as string;

/** @throws {BoosterError} `SLURM_FAILED` */
export const cancelJobs = (ids: readonly string[]): string => asked("scancel", ids);

/** Puts the task that this process belongs to back into the queue; nothing outside Slurm. @throws {BoosterError} `SLURM_FAILED` */
export function requeueThisTask({ env } = process): void {
  const { SLURM_JOB_ID: job, SLURM_ARRAY_JOB_ID: array, SLURM_ARRAY_TASK_ID: task } = env;
  if (job !== undefined) asked("scontrol", ["requeue", array === undefined ? job : `${array}_${task}`]);
}
