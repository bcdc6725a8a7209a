import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import type { z } from "zod";
import { makeFolder, writeFileAtomic } from "../../../formats/atomic-file.ts";
import type { Following } from "../../../train/index.ts";
import { RunLock } from "../../../train/lock.ts";
import { sha256 } from "../../../train/manifest.ts";
import { prepare } from "../../experiment.ts";
import { keepPlan } from "../../kept-plan.ts";
import type { ExperimentOptions } from "../../options.ts";
import type { Key, Piece, Plan } from "../../plan.ts";
import { outcomesOf } from "../outcome.ts";
import { arraysOf } from "./arrays.ts";
import type { SlurmOptions } from "./options.ts";
import { cancelJobs, liveJobs, submitScript } from "./queue.ts";
import { type Submission, scriptOf } from "./script.ts";

/** Where a piece of an experiment is. */
export interface PieceState {
  readonly key: Key;
  readonly label: string;
  /** `failed`: its task ended without it, or was cancelled. */
  readonly state: "there" | "left out" | "running" | "waiting" | "failed" | "to do";
  /** The task that it was given to last, and what that wrote. */
  readonly task?: string;
  readonly log?: string;
}

/** An experiment on Slurm. */
export interface SlurmState {
  /** Name of its jobs. */
  readonly name: string;
  readonly pieces: readonly PieceState[];
  /** Jobs and tasks that wait or run. */
  readonly live: number;
  /** Pieces of the submission before this one that failed. */
  readonly failed: readonly PieceState[];
  /** Arrays that were submitted by this call; besides them there is the job that collects. */
  readonly arrays: number;
}

/** An experiment as the runner sees it. */
interface Laid extends Submission {
  readonly chosen: ExperimentOptions;
  readonly plan: Plan;
}

type Options = z.input<typeof ExperimentOptions>;

/** @param program the command line's program, as this host and the nodes find it */
async function lay(
  options: Options,
  slurm: SlurmOptions,
  program: readonly string[],
  following: Following,
): Promise<Laid> {
  const { chosen, plan } = await prepare(options, following);
  const folder = join(chosen.out, "slurm");
  return {
    chosen,
    plan,
    name: `booster-${sha256(resolve(chosen.out)).slice(0, 8)}`,
    cwd: process.cwd(),
    folder,
    command: [...program, "experiment", "--config", join(folder, "experiment.json")],
    threads: chosen.threads,
    slurm,
  };
}

const toDo = ({ chosen, plan: { pieces } }: Laid): readonly Piece[] => {
  const outcomes = outcomesOf(chosen.out, pieces);
  return pieces.filter(({ key }) => !outcomes.has(key));
};

/**
 * The scripts of all that is to be done, in the order in which they are submitted; the last one collects. Nothing is written or asked.
 *
 * @returns jobs that others wait for are called `JOB1`, `JOB2`, ...
 * @throws {BoosterError} what `prepare` throws, `OPTIONS_INVALID` for a path that a directive cannot hold
 */
export async function slurmScripts(
  options: Options,
  slurm: SlurmOptions,
  program: readonly string[],
): Promise<readonly { readonly file: string; readonly text: string }[]> {
  const scripts: { file: string; text: string }[] = [];
  const laid = await lay(options, slurm, program, {});
  eachScript(laid, toDo(laid), (file, text) => `JOB${scripts.push({ file, text })}`);
  return scripts;
}

/** Hands out each script with its file, and takes the number of its job for those that wait for it. */
function eachScript(
  laid: Laid,
  pieces: readonly Piece[],
  take: (file: string, text: string, tasks?: readonly (readonly Piece[])[]) => string,
): void {
  const ids: string[] = [];
  for (const [i, { tasks, after }] of arraysOf(pieces).entries()) {
    const waitsFor = after.map(({ array, task }) => `${ids[array]}_${task}`);
    ids.push(take(join(laid.folder, `${i + 1}.sh`), scriptOf(laid, waitsFor, tasks), tasks));
  }
  take(join(laid.folder, "collect.sh"), scriptOf(laid, ids));
}

/**
 * Gives all that is to be done of an experiment to Slurm, with a last job that collects. As long as jobs of the experiment wait or run nothing
 * more is submitted, so that the same call tells how far they are.
 *
 * @returns undefined where everything is there: the local runner's end of work is all that is left
 * @throws {BoosterError} what `prepare` throws, `OPTIONS_INVALID` for a path that a directive cannot hold, `SLURM_FAILED`; `RUN_LOCKED`
 * where another process submits the same
 */
export async function submitExperiment(
  options: Options,
  slurm: SlurmOptions,
  program: readonly string[],
  following: Following = {},
): Promise<SlurmState | undefined> {
  const laid = await lay(options, slurm, program, following);
  const { chosen, folder } = laid;
  for (const path of [join(chosen.out, "locks"), folder]) makeFolder(path);
  const lock = RunLock.acquire(join(chosen.out, "locks", "submit"));
  try {
    const before = stateOf(laid);
    if (before.live > 0) return before;
    const left = toDo(laid);
    if (left.length === 0) return undefined;
    keepPlan(chosen, laid.plan);
    const write = (file: string, text: string): void => writeFileAtomic(file, [Buffer.from(text)]);
    write(join(folder, "experiment.json"), `${JSON.stringify(chosen, undefined, 2)}\n`);
    const submitted: string[] = [];
    const taskOf: Record<Key, string> = {};
    try {
      eachScript(laid, left, (file, text, tasks = []) => {
        write(file, text);
        const id = submitScript(file);
        submitted.push(id);
        for (const [i, pieces] of tasks.entries()) for (const { key } of pieces) taskOf[key] = `${id}_${i}`;
        write(join(folder, JOBS), `${JSON.stringify(taskOf, undefined, 2)}\n`);
        return id;
      });
    } catch (error) {
      if (submitted.length > 0) cancelJobs(submitted);
      throw error;
    }
    const failed = before.pieces.filter(({ state }) => state === "failed");
    return { ...stateOf(laid), failed, arrays: submitted.length - 1 };
  } finally {
    lock.release();
  }
}

/** Which task each piece of the last submission was given to. */
const JOBS = "jobs.json";

/** @throws {BoosterError} `SLURM_FAILED` */
function stateOf({ name, folder, chosen, plan: { pieces } }: Laid): SlurmState {
  const file = join(folder, JOBS);
  const taskOf = existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as Readonly<Record<Key, string>>) : {};
  const live = liveJobs(name);
  const outcomes = outcomesOf(chosen.out, pieces);
  const states = pieces.map((piece): PieceState => {
    const { key, label } = piece;
    const outcome = outcomes.get(key);
    const task = taskOf[key];
    const told = task === undefined ? {} : { task, log: join(folder, `${task}.log`) };
    if (outcome !== undefined) return { key, label, state: "run" in outcome ? "there" : "left out", ...told };
    if (task === undefined) return { key, label, state: "to do" };
    const queued = live.get(task);
    const isWaiting = queued === "PENDING" || queued === "CONFIGURING";
    return { key, label, state: queued === undefined ? "failed" : isWaiting ? "waiting" : "running", ...told };
  });
  return { name, pieces: states, live: live.size, failed: [], arrays: 0 };
}
