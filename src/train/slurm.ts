import { spawnSync } from "node:child_process";

/** Milliseconds that Slurm's word is taken for: whoever waits for a lock looks every second, and one controller serves a whole cluster. */
const WORD_HOLDS = 10_000;

/** States of a job that will not run any more. */
export const ENDED: ReadonlySet<string> = new Set(
  "BOOT_FAIL CANCELLED COMPLETED DEADLINE FAILED NODE_FAIL OUT_OF_MEMORY PREEMPTED REVOKED TIMEOUT".split(" "),
);
/** States in which the start before the one that is counted may still have processes. */
const ENDING = new Set(["COMPLETING", "REQUEUED"]);

/** One start of a Slurm job, as its environment names it. */
export interface SlurmStart {
  readonly job: string;
  /** How often the job was requeued before; "" for never. */
  readonly restart: string;
  /** Job numbers of two clusters mean different jobs. */
  readonly cluster: string;
}

/** The start of the job that this process belongs to; its `job` is "" outside Slurm. */
export const slurmStart = ({ env } = process): SlurmStart => ({
  job: env.SLURM_JOB_ID ?? "",
  restart: env.SLURM_RESTART_COUNT ?? "",
  cluster: env.SLURM_CLUSTER_NAME ?? "",
});

const words = new Map<string, { readonly alive: boolean | undefined; readonly at: number }>();

/** Whether a start of a job may have processes, by Slurm's word; undefined where Slurm cannot be asked, or is another cluster's. */
export function slurmStartLives(start: SlurmStart): boolean | undefined {
  const name = JSON.stringify(start);
  const known = words.get(name);
  if (known !== undefined && performance.now() - known.at < WORD_HOLDS) return known.alive;
  const alive = ask(start);
  words.set(name, { alive, at: performance.now() });
  return alive;
}

function ask({ job, restart, cluster }: SlurmStart): boolean | undefined {
  if (!/^\d+$/.test(job) || cluster === "" || clusterAsked() !== cluster) return undefined;
  const { status, stdout, stderr } = slurm("squeue", [
    "--noheader",
    "--states=all",
    `--jobs=${job}`,
    "--Format=JobID:24,State:24,RestartCnt:24",
  ]);
  // Slurm forgets a job some minutes after its end.
  if (status !== 0) return /invalid job id/i.test(stderr) ? false : undefined;
  // An array's number is also that of one of its tasks; asked for it, Slurm tells of all tasks.
  const own = stdout.split("\n").map((line) => line.trim().split(/\s+/));
  return own.some(
    ([id, state = "", count]) =>
      id === job &&
      !ENDED.has(state) &&
      state !== "PENDING" &&
      (ENDING.has(state) || Number(count) === Number(restart)),
  );
}

const clusterAsked = (): string | undefined =>
  /^ClusterName\s*=\s*(\S+)/m.exec(slurm("scontrol", ["show", "config"]).stdout)?.[1];

/** Runs one of Slurm's programs. `status` is null where there is none, or it does not answer. */
export function slurm(
  program: string,
  args: readonly string[],
): { readonly status: number | null; readonly stdout: string; readonly stderr: string } {
  const { status, stdout, stderr, error } = spawnSync(program, args, { encoding: "utf8", timeout: 60_000 });
  return { status, stdout: stdout ?? "", stderr: error?.message ?? stderr ?? "" };
}
