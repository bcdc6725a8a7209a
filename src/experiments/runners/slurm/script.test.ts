import { execFileSync } from "node:child_process";
import { expect, test } from "vitest";
import type { Piece } from "../../plan.ts";
import { SlurmOptions } from "./options.ts";
import { type Submission, scriptOf } from "./script.ts";

const piece = (key: string, label: string): Piece => ({
  key,
  stage: "align",
  folder: "align",
  label,
  options: {},
  files: {},
});
const submission: Submission = {
  name: "booster-1",
  cwd: "/home/me/my work",
  folder: "runs/x/slurm",
  command: ["/usr/bin/node", "/opt/it's/main.js", "experiment", "--config", "runs/x/slurm/experiment.json"],
  slurm: SlurmOptions.parse({}),
};
const tasks = [[piece("a1", "sft seed 0: align")], [piece("b1", "attack"), piece("b2", "attack, evaluate")]];

test("an array's script, with all that a config may say", () => {
  const slurm = SlurmOptions.parse({
    partition: "gpu",
    account: "lab",
    time: "08:00:00",
    lines: ["#SBATCH --gres=gpu:1", "module load node"],
  });
  expect(scriptOf({ ...submission, threads: 4, slurm }, ["12_0", "12_1"], tasks)).toBe(`#!/bin/bash
#SBATCH --job-name=booster-1
#SBATCH --chdir="/home/me/my work"
#SBATCH --output=runs/x/slurm/%A_%a.log
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --array=0-1
#SBATCH --signal=B:USR1@120
#SBATCH --dependency=afterok:12_0:12_1
#SBATCH --kill-on-invalid-dep=yes
#SBATCH --partition=gpu
#SBATCH --account=lab
#SBATCH --time=08:00:00
#SBATCH --cpus-per-task=4
#SBATCH --gres=gpu:1
module load node
pieces=(
  # sft seed 0: align
  a1
  # attack
  # attack, evaluate
  b1,b2
)
exec /usr/bin/node '/opt/it'\\''s/main.js' experiment --config runs/x/slurm/experiment.json --piece "\${pieces[SLURM_ARRAY_TASK_ID]}"
`);
});

test("the job that collects does no piece and is no array", () => {
  expect(scriptOf(submission, ["12", "13"])).toBe(`#!/bin/bash
#SBATCH --job-name=booster-1
#SBATCH --chdir="/home/me/my work"
#SBATCH --output=runs/x/slurm/collect-%j.log
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --dependency=afterok:12:13
#SBATCH --kill-on-invalid-dep=yes
exec /usr/bin/node '/opt/it'\\''s/main.js' experiment --config runs/x/slurm/experiment.json
`);
});

test("the shell takes each task's pieces, and a label stays a remark", () => {
  const evil = [[piece("a1", "x\n$(exit 3)\nexit 4")], [piece("b1", "y) ; exit 5"), piece("b2", "`exit 6`")]];
  const script = scriptOf({ ...submission, command: ["echo", "$HOME 'x'"] }, [], evil);
  const run = (task: string) =>
    execFileSync("bash", ["--norc", "-c", script], { encoding: "utf8", env: { SLURM_ARRAY_TASK_ID: task } });
  expect([run("0"), run("1")]).toEqual(["$HOME 'x' --piece a1\n", "$HOME 'x' --piece b1,b2\n"]);
});

test("what a directive cannot hold is refused", () => {
  for (const cwd of ["/a\n#SBATCH --wrap=x", '/a"b', "/100%j", "/a\\b"]) {
    expect(() => scriptOf({ ...submission, cwd }, [], tasks)).toThrow(
      expect.objectContaining({ code: "OPTIONS_INVALID" }),
    );
  }
  for (const slurm of [{ partition: "a b" }, { account: "a\n" }, { time: "1 --wrap" }, { lines: ["a\nb"] }]) {
    expect(SlurmOptions.safeParse(slurm).success).toBe(false);
  }
});
