import { existsSync } from "node:fs";
import { join } from "node:path";
import type { z } from "zod";
import { align } from "./align.ts";
import { evaluate } from "./evaluate.ts";
import { finetune } from "./finetune.ts";
import { AlignOptions, EvaluateOptions, FinetuneOptions, RepairOptions } from "./options.ts";
import { PretrainOptions, pretrain } from "./pretrain.ts";
import { repair } from "./repair.ts";
import type { Context } from "./workbench.ts";

/** A piece of work whose options and result are data: a model in, a model or scores out. */
export interface Stage<Name extends string, Options extends z.ZodType, Result> {
  readonly name: Name;
  readonly options: Options;
  /** The file that is there once the work is done. */
  proof(options: z.output<Options>): string;
  run(options: z.input<Options>, context?: Context): Promise<Result>;
}

const stage = <Name extends string, Options extends z.ZodType, Result>(
  row: Stage<Name, Options, Result>,
): Stage<Name, Options, Result> => row;

const trained = ({ run, tune }: { readonly run: string; readonly tune: "lora" | "full" }): string =>
  tune === "full" ? join(run, "model", "config.json") : adapterOf(run);

const adapterOf = (run: string): string => join(run, "adapter", "adapter_config.json");

/** All stages. What is tuned is said by the options, since it decides what is published. */
export const STAGES = [
  stage({ name: "align", options: AlignOptions, proof: trained, run: align }),
  stage({ name: "finetune", options: FinetuneOptions, proof: trained, run: finetune }),
  stage({ name: "repair", options: RepairOptions, proof: ({ run }) => adapterOf(run), run: repair }),
  stage({
    name: "evaluate",
    options: EvaluateOptions,
    proof: ({ run }) => join(run, "evaluation.json"),
    run: evaluate,
  }),
  stage({ name: "pretrain", options: PretrainOptions, proof: ({ out }) => join(out, "config.json"), run: pretrain }),
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

/** Whether what the stage makes is there, with options that are complete. */
export const isDone = ({ stage, options }: Task): boolean => existsSync(rowOf(stage).proof(options));

/** Runs a stage. Throws what it throws. */
export function runTask({ stage, options }: Task, context: Context): Promise<unknown> {
  context.emit?.({ type: "work", text: "loading", preparing: true });
  return rowOf(stage).run(options, context);
}
