import { BoosterError } from "../../../errors.ts";
import type { Piece } from "../../plan.ts";
import type { SlurmOptions } from "./options.ts";

/** What the scripts of a submission have in common. */
export interface Submission {
  /** Name of all jobs of an experiment, by which Slurm is asked about them. */
  readonly name: string;
  /** Folder that jobs start in. */
  readonly cwd: string;
  /** Folder of scripts and logs. */
  readonly folder: string;
  /** The command that does pieces, without their keys; without any it collects. */
  readonly command: readonly string[];
  /** Processor cores of a task, where the experiment says how many threads it computes on. */
  readonly threads?: number | undefined;
  readonly slurm: SlurmOptions;
}

/** Seconds before the time limit at which a job is told to save what it has. */
const WARNING = 120;

/**
 * The script of an array job, or of the job that collects.
 *
 * @param tasks pieces of each task; absent: it collects
 * @param after jobs and tasks, as Slurm names them, that must have ended well
 * @throws {BoosterError} `OPTIONS_INVALID` for a path that a directive cannot hold
 */
export function scriptOf(
  { name, cwd, folder, command, threads, slurm }: Submission,
  after: readonly string[],
  tasks?: readonly (readonly Piece[])[],
): string {
  const { partition, account, time, lines } = slurm;
  const directives = [
    `--job-name=${name}`,
    `--chdir=${inDirective(cwd)}`,
    `--output=${inDirective(folder, tasks === undefined ? "/collect-%j.log" : "/%A_%a.log")}`,
    "--open-mode=append",
    "--requeue",
    ...(tasks === undefined ? [] : [`--array=0-${tasks.length - 1}`, `--signal=B:USR1@${WARNING}`]),
    ...(after.length === 0 ? [] : [`--dependency=afterok:${after.join(":")}`, "--kill-on-invalid-dep=yes"]),
    ...(partition === undefined ? [] : [`--partition=${partition}`]),
    ...(account === undefined ? [] : [`--account=${account}`]),
    ...(time === undefined ? [] : [`--time=${time}`]),
    ...(threads === undefined ? [] : [`--cpus-per-task=${threads}`]),
  ];
  const run = command.map(quoted).join(" ");
  return [
    "#!/bin/bash",
    ...directives.map((directive) => `#SBATCH ${directive}`),
    ...lines,
    ...(tasks === undefined
      ? [`exec ${run}`]
      : [
          "pieces=(",
          ...tasks.flatMap((pieces) => [
            ...pieces.map(({ label }) => `  # ${oneLine(label)}`),
            `  ${pieces.map(({ key }) => key).join(",")}`,
          ]),
          ")",
          // In the shell's place, so that Slurm's signals reach the program.
          `exec ${run} --piece "\${pieces[SLURM_ARRAY_TASK_ID]}"`,
        ]),
    "",
  ].join("\n");
}

/** For the shell. */
const quoted = (text: string): string => (/^[\w./:=@+-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

const oneLine = (text: string): string => text.replace(/\p{Cc}/gu, " ");

/** @param name what Slurm fills in behind the path: the job's number stands for %j */
function inDirective(path: string, name = ""): string {
  if (!/[\p{Cc}"'\\%]/u.test(path)) return /[\s#]/.test(path) ? `"${path}${name}"` : `${path}${name}`;
  throw new BoosterError("OPTIONS_INVALID", "a Slurm directive cannot hold this path", {
    expected: "no quotes, backslashes, % and line breaks",
    found: path,
    hint: "Choose another folder for the experiment, or start from another one.",
  });
}
