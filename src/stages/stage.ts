import { existsSync } from "node:fs";
import { join } from "node:path";
import type { z } from "zod";
import { MODEL_FILE, refuseOutdated } from "../models/model-file.ts";
import { align } from "./align.ts";
import { evaluate } from "./evaluate.ts";
import { finetune } from "./finetune.ts";
import { AgreeOptions, agree, TestModeratorOptions, testModerator } from "./judge-answers.ts";
import { AlignOptions, EvaluateOptions, FinetuneOptions, RepairOptions } from "./options.ts";
import { PretrainOptions, pretrain } from "./pretrain.ts";
import { repair } from "./repair.ts";
import { TrainModeratorOptions, trainModerator } from "./train-moderator.ts";
import type { Context } from "./workbench.ts";

/** A piece of work whose options and result are data: a model in, a model or scores out. */
export interface Stage<Name extends string, Options extends z.ZodType, Result> {
  readonly name: Name;
  readonly options: Options;
  /** Whether what it makes is there. */
  isDone(options: z.output<Options>): boolean;
  run(options: z.input<Options>, context?: Context): Promise<Result>;
}

const stage = <Name extends string, Options extends z.ZodType, Result>(
  row: Stage<Name, Options, Result>,
): Stage<Name, Options, Result> => row;

/** @throws {BoosterError} `RUN_OUTDATED` for what version 0.1 made */
const isPublished = ({ run }: { readonly run: string }): boolean => {
  refuseOutdated(run);
  return has(run, MODEL_FILE);
};

const has = (...path: string[]): boolean => existsSync(join(...path));

/** All stages. */
export const STAGES = [
  stage({ name: "align", options: AlignOptions, isDone: isPublished, run: align }),
  stage({ name: "finetune", options: FinetuneOptions, isDone: isPublished, run: finetune }),
  stage({ name: "repair", options: RepairOptions, isDone: isPublished, run: repair }),
  stage({
    name: "evaluate",
    options: EvaluateOptions,
    isDone: ({ run }) => has(run, "evaluation.json"),
    run: evaluate,
  }),
  stage({
    name: "pretrain",
    options: PretrainOptions,
    isDone: ({ out }) => has(out, "config.json"),
    run: pretrain,
  }),
  stage({
    name: "moderator-train",
    options: TrainModeratorOptions,
    isDone: ({ run }) => has(run, "model", "moderator.json"),
    run: trainModerator,
  }),
  stage({ name: "moderator-test", options: TestModeratorOptions, isDone: () => false, run: testModerator }),
  stage({ name: "moderator-agree", options: AgreeOptions, isDone: () => false, run: agree }),
] as const;

type Row = (typeof STAGES)[number];
export type StageName = Row["name"];
type Named<Name extends StageName> = Extract<Row, { readonly name: Name }>;
export type StageOptions<Name extends StageName> = z.output<Named<Name>["options"]>;
export type StageResult<Name extends StageName> = Awaited<ReturnType<Named<Name>["run"]>>;

/** A stage to be run, as data. */
export interface Task {
  readonly stage: StageName;
  readonly options: Readonly<Record<string, unknown>>;
}

const rowOf = (stage: StageName): Stage<StageName, z.ZodType<Task["options"]>, unknown> =>
  STAGES.find(({ name }) => name === stage) as never;

/** The schema of what a stage may be told. */
export const optionsOf = (stage: StageName): z.ZodObject => rowOf(stage).options as z.ZodObject;

/** Whether what the stage makes is there, with options that are complete. */
export const isDone = ({ stage, options }: Task): boolean => rowOf(stage).isDone(options);

/** Runs a stage. Throws what it throws. */
export function runTask({ stage, options }: Task, context: Context): Promise<unknown> {
  context.emit?.({ type: "work", text: "loading", preparing: true });
  return rowOf(stage).run(options, context);
}
