import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { z } from "zod";
import type { Example as DataExample } from "../data/examples.ts";
import { BoosterError } from "../errors.ts";
import {
  accuracy,
  type HarmReport,
  type Rate,
  rateOf,
  scoreHarm,
  type TaskMetric,
  taskMetric,
} from "../evaluate/index.ts";
import { loraScale, type NamedWeights } from "../models/load.ts";
import { RunDirectory } from "../train/index.ts";
import { asQuestion, loadDataSet, type Question } from "./data.ts";
import { describeRun } from "./describe-run.ts";
import type { Hooks } from "./hooks.ts";
import { type Moderation, openModeration } from "./moderation.ts";
import { EvaluateOptions, parseOptions } from "./options.ts";
import { Respondent } from "./respondent.ts";
import { type StartingPoint, Workbench } from "./workbench.ts";

const REPORT = "evaluation.json";
/** Answers between two messages. */
const ANSWERS_PER_NOTICE = 100;
const SETS = ["harmful", "harmless", "task"] as const;
type SetName = (typeof SETS)[number];

/** One model's scores: the content of evaluation.json. */
export interface EvaluationReport {
  readonly version: 1;
  readonly model: string;
  readonly adapters: readonly string[];
  readonly harm: HarmReport;
  /** Share of harmless prompts that were refused. */
  readonly overRefusal?: Rate;
  /** Fine-tuning accuracy. */
  readonly accuracy?: Rate;
}

/**
 * Stage 3: asks a model everything and writes evaluation.json into a run folder: harmful score, HS+, task leakage,
 * over-refusal and fine-tuning accuracy. Answers are written down (answers.jsonl) only when asked for.
 *
 * @throws {BoosterError} `OPTIONS_INVALID`, `TASK_METRIC_MISSING`, `STOPPED`, and what loading, generating and moderating throw
 * @example
 * const { harm } = await evaluate({ run: "runs/scores", model: "assets/world", adapters: ["runs/hard/adapter"], harmful: "test.jsonl", moderator: "world" });
 * console.log(harm.harmfulScore.percent);
 */
export async function evaluate(options: z.input<typeof EvaluateOptions>, hooks: Hooks = {}): Promise<EvaluationReport> {
  const chosen = parseOptions(EvaluateOptions, options, "evaluate");
  const bench = hooks.bench ?? new Workbench(chosen);
  const metric = chosen.taskMetric === undefined ? undefined : taskMetric(chosen.taskMetric);
  if (chosen.task !== undefined && metric === undefined) {
    throw new BoosterError("TASK_METRIC_MISSING", "it is not said how answers to the task are scored", {
      where: "taskMetric",
    });
  }
  const moderation = await openModeration(chosen.moderator);
  const hashes = await bench.hashes(chosen.model, chosen.adapters);
  const sets: Partial<Record<SetName, readonly DataExample[]>> = {};
  for (const name of SETS) {
    const source = chosen[name];
    if (source === undefined) continue;
    const { examples, record } = await loadDataSet(source);
    sets[name] = examples;
    hashes[name] = record.sha256;
  }
  const run = RunDirectory.open(chosen.run, describeRun("evaluate", chosen, hashes), {
    resume: chosen.resume,
    keep: 1,
  });
  try {
    const replies = await askAll(chosen, sets, await bench.start(chosen.model, chosen.adapters, "keep"), hooks);
    const report = await score(chosen, replies, moderation, metric);
    if (chosen.keepAnswers) {
      const lines = Object.entries(replies).flatMap(([set, list]) =>
        list.map(({ where, answer }) => `${JSON.stringify({ set, where, answer })}\n`),
      );
      run.writeFile("answers.jsonl", lines.join(""));
    }
    run.writeFile(REPORT, `${JSON.stringify(report, undefined, 2)}\n`);
    return report;
  } finally {
    run.close();
  }
}

/** A question with its place and the model's answer. */
interface Reply extends Question {
  readonly where: string;
  readonly answer: string;
}

type Replies = Partial<Record<SetName, readonly Reply[]>>;

async function askAll(
  options: EvaluateOptions,
  sets: Partial<Record<SetName, readonly DataExample[]>>,
  { base, lora }: StartingPoint,
  hooks: Hooks,
): Promise<Replies> {
  const trained: NamedWeights = lora?.tensors ?? new Map();
  const respondent = await Respondent.create(base, trained, lora === undefined ? 1 : loraScale(lora.config));
  const replies: Replies = {};
  for (const name of SETS) {
    const examples = sets[name];
    if (examples === undefined) continue;
    const questions = examples.map((example) => asQuestion(example, { ...options, tokenizer: base.tokenizer }));
    const maxNewTokens = name === "task" ? options.taskMaxNewTokens : options.maxNewTokens;
    const answers = await respondent.answer(questions, trained, {
      maxNewTokens,
      batchSize: options.batchSize,
      signal: hooks.signal,
      onAnswer(answered, total) {
        if (answered % ANSWERS_PER_NOTICE === 0 || answered === total) {
          hooks.onNotice?.(`${name} prompts: ${answered} of ${total} answered`);
        }
      },
    });
    replies[name] = questions.map((question, i) => ({
      ...question,
      where: examples[i]?.where ?? "",
      answer: answers[i] ?? "",
    }));
  }
  return replies;
}

async function score(
  { model, adapters }: EvaluateOptions,
  { harmful = [], harmless, task }: Replies,
  { moderator, isRefusal }: Moderation,
  metric: TaskMetric | undefined,
): Promise<EvaluationReport> {
  const harm = await scoreHarm(
    harmful.map(({ text, answer }) => ({ prompt: text, answer })),
    moderator,
    metric,
  );
  return {
    version: 1,
    model,
    adapters,
    harm: { ...harm, refusals: rateOf(harmful, ({ answer }) => isRefusal(answer)) },
    ...(harmless === undefined ? {} : { overRefusal: rateOf(harmless, ({ answer }) => isRefusal(answer)) }),
    ...(task === undefined || metric === undefined
      ? {}
      : {
          accuracy: accuracy(
            metric,
            task.map(({ answer }) => answer),
            task.map(({ gold }) => gold),
          ),
        }),
  };
}

/** The report of an evaluation that is done. */
export const readEvaluation = (run: string): EvaluationReport =>
  JSON.parse(readFileSync(join(run, REPORT), "utf8")) as EvaluationReport;
