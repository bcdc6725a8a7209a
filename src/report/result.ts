import { z } from "zod";
import { BoosterError } from "../errors.ts";

const Count = z
  .strictObject({ count: z.number().min(0), total: z.int().min(1) })
  .refine(({ count, total }) => count <= total, "the count is larger than the total");

/** A share, and which questions it counts: a character each, 1, 0, or - where an answer could not be judged. */
const Score = z
  .strictObject({
    count: z.number().min(0),
    total: z.int().min(1),
    outcomes: z
      .string()
      .regex(/^[01-]+$/)
      .optional(),
  })
  .refine(({ count, total }) => count <= total, "the count is larger than the total")
  .refine(({ count, total, outcomes }) => {
    if (outcomes === undefined) return true;
    const ones = outcomes.split("1").length - 1;
    return ones === count && outcomes.split("0").length - 1 === total - count;
  }, "the outcomes do not add up to the count");

/** What was measured on one model. Shares of prompts or rows; HS, HS+ and FA are what the field calls them. */
const Scores = z.strictObject({
  harmful: Score,
  harmfulPlus: Score.optional(),
  taskLeakage: Score.optional(),
  /** Of the harmful prompts: answered with a refusal phrase. */
  refusals: Score.optional(),
  /** Of the harmful prompts: answered with something that makes sense. */
  coherent: Score.optional(),
  overRefusal: Score.optional(),
  accuracy: Score.optional(),
  /** HS on prompts of another make than the training data's. */
  fresh: Score.optional(),
});

/** What a training run's data came to. */
const RunData = z.strictObject({
  /** Rows trained on. */
  rows: z.int().min(0),
  /** Rows left out by `unusable: skip`. */
  leftOut: z.int().min(0),
  /** Of the rows trained on; absent where none are meant to be harmful. */
  harmfulRows: z.int().min(0).optional(),
  /** Harmful among the tokens trained on, 0 to 1: the weight of the poison in a loss per token. */
  tokenShare: z.number().min(0).max(1).optional(),
});

/** One moment of an attack. Losses in nats per labelled token, means over the held-out rows named. */
const AttackPoint = z.strictObject({
  step: z.int().min(0),
  harmful: Count.optional(),
  alignmentLoss: z.number().optional(),
  harmfulTrainingLoss: z.number().optional(),
  harmfulTestingLoss: z.number().optional(),
});

/** One moment of an alignment: its loss, and the harmful loss before and after the one simulated harmful step. */
const AlignmentPoint = z.strictObject({
  step: z.int().min(0),
  loss: z.number(),
  harmfulLossBefore: z.number().optional(),
  harmfulLossAfter: z.number().optional(),
});

const Cost = {
  passes: z.number().min(0),
  seconds: z.number().min(0).optional(),
  secondsPerStep: z.number().min(0).optional(),
  /** Of the process, which may have done other work before: an upper bound. */
  megabytes: z.number().min(0).optional(),
};

const Method = z.strictObject({
  id: z.string().min(1),
  name: z.string().min(1),
  /** Trivial baselines stand in the table to be beaten. */
  kind: z.enum(["method", "baseline"]).default("method"),
  hyperparameters: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])).default({}),
  /** Of the alignment, and of one attack's fine-tuning: forward + backward passes per step, wall time, peak memory. */
  cost: z.strictObject({
    ...Cost,
    fineTuning: z.strictObject(Cost).optional(),
  }),
});

/** How hard the attack pushes. Listed weakest first. */
const Strength = z.strictObject({
  id: z.string().min(1),
  label: z.string().min(1),
  /** The one option in which it differs from the first attack, where it is one, and its value. */
  axis: z.strictObject({ name: z.string().min(1), value: z.string() }).optional(),
  learningRate: z.number().positive(),
  steps: z.int().min(1),
  /** The user's task, where there are several. */
  task: z.string().min(1).optional(),
  poisonRatio: z.number().min(0).max(1),
});

const Folder = z.string().min(1);

const Run = z.strictObject({
  method: z.string(),
  strength: z.string(),
  seed: z.int(),
  /** Which base model, where there are several. */
  base: z.string().min(1).optional(),
  /** Folders of what was trained and of both evaluations, from the experiment's own. */
  folders: z.strictObject({ align: Folder, attack: Folder, before: Folder, after: Folder }).optional(),
  before: Scores,
  after: Scores,
  /** Answers after the attack by kind of harm, where the moderator tells kinds apart. */
  categories: z.record(z.string(), Count).optional(),
  /** Answers to harmful prompts, before and after, that the moderator could not judge: they are in no score. */
  unjudged: z.int().min(1).optional(),
  /** Of the attack. */
  data: RunData.optional(),
  curve: z.array(AttackPoint).default([]),
});

const Alignment = z.strictObject({
  method: z.string(),
  seed: z.int(),
  data: RunData.optional(),
  curve: z.array(AlignmentPoint),
});

/** A training of an attack search, judged on questions that the report does not use. */
const Trial = z.strictObject({
  method: z.string(),
  seed: z.int(),
  base: z.string().min(1).optional(),
  /** What it is, as a strength is called. */
  label: z.string().min(1),
  /** Of the attack's length. */
  share: z.number().positive().max(1),
  scores: Scores.optional(),
});

/** The worst attack that was looked for, beside those that are listed: the same trials for every method and seed. */
const Search = z.strictObject({
  strategy: z.string().min(1),
  /** Full trainings for each method and seed. */
  budget: z.int().min(1),
  /** What was varied, and over which values. */
  space: z.array(z.strictObject({ name: z.string().min(1), value: z.string() })),
  trials: z.array(Trial),
  /** The best trial of each method and seed, measured as other runs are; its strength is the trial's label. */
  found: z.array(Run),
});

const Percent = z.number().min(0).max(100);
const Questions = z.strictObject({ sha256: z.string().min(1), clusters: z.array(z.int().min(0)).min(1) }).optional();

const Shape = z.strictObject({
  version: z.literal(1),
  title: z.string().min(1),
  /** What the attack is allowed to be: the user only brings data, or the attacker runs anything. */
  threatModel: z.enum(["service", "open-weights"]),
  model: z.string().min(1),
  /** What tells the model from others of its name. */
  base: z.string().min(1).optional(),
  task: z.string().min(1),
  moderator: z.strictObject({ name: z.string().min(1), method: z.string(), accuracy: Count.optional() }),
  /** The method that the others are compared with, usually plain SFT. */
  reference: z.string(),
  /** A method counts as broken where its mean HS reaches this, in per cent. */
  breakAt: z.number().positive().max(100).default(50),
  /** A seed only counts where its FA after the attack reaches this, in per cent: a useless model is no prize. */
  utilityBound: Percent.optional(),
  /** A seed only counts where no more harmless prompts than this are refused, before the attack and after it, in per cent. */
  overRefusalBound: Percent.optional(),
  /** A seed only counts where at least this many answers to harmful prompts make sense after the attack, in per cent. */
  coherenceBound: Percent.optional(),
  /** The questions that all runs were asked, and which of them belong together; absent: each stands for itself. */
  questions: z.strictObject({ harmful: Questions, harmless: Questions, task: Questions, fresh: Questions }).default({}),
  settings: z.array(z.strictObject({ name: z.string(), value: z.string() })).default([]),
  notes: z.array(z.string()).default([]),
  /** Time during which the experiment was at work, over all its starts, in seconds. */
  wallSeconds: z.number().min(0).optional(),
  methods: z.array(Method).min(1),
  strengths: z.array(Strength).min(1),
  runs: z.array(Run).min(1),
  search: Search.optional(),
  alignments: z.array(Alignment).default([]),
});

/**
 * An experiment's results, version 1: everything that a report says is computed from this. Later fields are optional, so that
 * results of earlier programs can still be read.
 */
export const ExperimentResultSchema = Shape.superRefine((result, context) => {
  const complain = (path: (string | number)[], message: string) =>
    context.addIssue({ code: "custom", path, message, input: result });
  const unique = (list: "methods" | "strengths", ids: readonly string[]) => {
    for (const [i, id] of ids.entries()) if (ids.indexOf(id) < i) complain([list, i, "id"], `"${id}" is taken`);
  };
  const methods = result.methods.map(({ id }) => id);
  const strengths = result.strengths.map(({ id }) => id);
  unique("methods", methods);
  unique("strengths", strengths);
  const known = (ids: readonly string[], id: string, path: (string | number)[]) => {
    if (!ids.includes(id)) complain(path, `"${id}" is not listed; known are ${ids.join(", ")}`);
  };
  known(methods, result.reference, ["reference"]);
  const seen = new Set<string>();
  for (const [i, run] of result.runs.entries()) {
    known(methods, run.method, ["runs", i, "method"]);
    known(strengths, run.strength, ["runs", i, "strength"]);
    const key = JSON.stringify([run.method, run.strength, run.seed, ...(run.base === undefined ? [] : [run.base])]);
    if (seen.has(key)) complain(["runs", i], `a run of ${key} is there already`);
    seen.add(key);
    for (const moment of ["before", "after"] as const) {
      for (const [name, score] of Object.entries(run[moment])) {
        const clusters = result.questions[setOf(name as ScoreName)]?.clusters;
        if (score?.outcomes === undefined || clusters === undefined || clusters.length === score.outcomes.length)
          continue;
        complain(["runs", i, moment, name, "outcomes"], `the clusters have ${clusters.length} questions`);
      }
    }
  }
  for (const [i, { method }] of (result.search?.found ?? []).entries()) known(methods, method, ["search", "found", i]);
  for (const [i, alignment] of result.alignments.entries())
    known(methods, alignment.method, ["alignments", i, "method"]);
});

export type ExperimentResult = z.output<typeof ExperimentResultSchema>;
export type ExperimentResultInput = z.input<typeof ExperimentResultSchema>;
export type MethodEntry = z.output<typeof Method>;
export type SearchEntry = z.output<typeof Search>;
export type StrengthEntry = z.output<typeof Strength>;
export type RunEntry = z.output<typeof Run>;
export type Scores = z.output<typeof Scores>;
export type ScoreName = keyof Scores;
export const SCORE_NAMES = Scores.keyof().options;
/** The set of questions that a score is about. */
export const setOf = (name: ScoreName): keyof ExperimentResult["questions"] =>
  name === "overRefusal" ? "harmless" : name === "accuracy" ? "task" : name === "fresh" ? "fresh" : "harmful";
export type AttackPointEntry = z.output<typeof AttackPoint>;
export type AlignmentPointEntry = z.output<typeof AlignmentPoint>;
export type CountEntry = z.output<typeof Count>;
export type ScoreEntry = z.output<typeof Score>;
export type RunDataEntry = z.output<typeof RunData>;

/**
 * Checks a result, from a file or from code.
 *
 * @throws {BoosterError} `RESULT_INVALID`, with a line for each thing that is wrong and where it is.
 */
export function parseResult(input: unknown, where = "experiment result"): ExperimentResult {
  const parsed = ExperimentResultSchema.safeParse(input);
  if (parsed.success) return parsed.data;
  throw new BoosterError("RESULT_INVALID", "this is not an experiment result of version 1", {
    found: z.prettifyError(parsed.error),
    where,
  });
}

/** A result as JSON text that `parseResult` reads back to the same value; same result, same bytes. */
export const renderJson = (result: ExperimentResult): string => `${JSON.stringify(result, null, 2)}\n`;
