import { z } from "zod";
import { faultsOf, model, oneOf, operational } from "../choice.ts";
import { PoisonOptions, TemplateOptions } from "../data/options.ts";
import { FORMER_METRICS, TASK_METRICS } from "../data/tasks/table.ts";
import { BoosterError } from "../errors.ts";
import { MODERATORS } from "../evaluate/index.ts";
import { ATTACKS } from "../methods/attacks/index.ts";
import { METHODS, TRANSFORMS } from "../methods/registry.ts";
import { TEMPLATES } from "../models/model-file.ts";
import { OPTIMIZERS, SCHEDULES } from "../optim/index.ts";
import { AskingOptions } from "./asking.ts";
import { GUARDS } from "./guards.ts";
import {
  AvoidChoice,
  BaseChoice,
  ConfigKeys,
  Count,
  DeviceChoice,
  Model,
  ModelChoice,
  ProfileChoice,
  RunChoice,
  Source,
} from "./option-parts.ts";

export * from "./option-parts.ts";

/** How anything is trained; defaults are the paper's (Adam betas 0.9 and 0.999 are fixed, as there). */
export const TrainingOptions = z.strictObject({
  epochs: z.number().positive().default(20).describe("Times that the data is gone through"),
  steps: Count.optional().describe("Optimiser steps, instead of epochs"),
  batchSize: Count.default(10).describe("Rows of an optimiser step, from each kind of data that the method reads"),
  learningRate: z.number().positive().default(5e-4).describe("Highest learning rate"),
  schedule: z.enum(SCHEDULES).default("constant").describe("How the learning rate falls"),
  warmup: z.number().min(0).max(1).default(0).describe("Share of the steps over which the learning rate rises"),
  optimizer: oneOf(OPTIMIZERS).default({ name: "adamw" }).describe("Optimiser, with its own settings"),
  weightDecay: z
    .number()
    .min(0)
    .default(0.1)
    .describe("Weight decay: decoupled in AdamW, added to the gradient in SGD"),
  maxGradNorm: z.number().positive().default(1).describe("Gradients of a larger norm are scaled down to it"),
  tune: z.enum(["lora", "full"]).default("lora").describe("Train LoRA factors, or all weights"),
  loraRank: Count.default(32).describe("Rank of fresh LoRA factors"),
  loraAlpha: z.number().positive().default(4).describe("LoRA's scale is alpha / rank"),
  targetModules: z
    .array(z.string().min(1))
    .min(1)
    .default(["q_proj", "k_proj", "v_proj"])
    .describe(
      "Linear layers that carry LoRA factors, or all-linear; q_proj, k_proj and v_proj together also mean the one layer that does the work of all three",
    ),
  seed: z.int().nonnegative().default(42).describe("Seed of fresh weights and of the order of the data"),
  microBatches: Count.default(1).describe("Parts in which a batch is computed, one after the other, to save memory"),
  memory: z
    .enum(["speed", "low"])
    .default("speed")
    .describe("Keep what the backward pass needs, or compute the large parts of it again"),
  checkpointEvery: Count.default(500).describe("Steps between checkpoints"),
  checkpointSeconds: operational(
    z.number().positive().optional().describe("Seconds after which there is a checkpoint in any case"),
  ),
  checkpointsTo: operational(
    z
      .string()
      .min(1)
      .optional()
      .describe(
        "Folder in which each checkpoint is laid as well, at an epoch's end with its adapter, for whoever carries them elsewhere and removes them",
      ),
  ),
  force: operational(z.boolean().default(false).describe("Start although the memory seems not to suffice")),
});
export type TrainingOptions = z.infer<typeof TrainingOptions>;

const UnusableChoice = z.strictObject({
  unusable: z
    .enum(["refuse", "skip"])
    .default("refuse")
    .describe(
      "Examples without a token to train on, such as an answer beyond maxTokens: an error, or left out and counted",
    ),
});

/** Stage 1: teach a base model to refuse, with or without a defence. */
export const AlignOptions = z.strictObject({
  ...RunChoice.shape,
  model: Model,
  ...BaseChoice.shape,
  ...ConfigKeys.shape,
  method: oneOf(METHODS).default({ name: "sft" }).describe("Alignment method, with its own settings"),
  alignment: Source.optional().describe(
    "Prompts with refusals or safe answers, for all methods but those that read pairs",
  ),
  harmful: Source.optional().describe("Prompts with harmful answers, for methods that simulate an attack"),
  general: Source.optional().describe("Harmless prompts with answers, for methods that hold what the model can do"),
  pairs: Source.optional().describe(
    "Prompts with two answers, the more helpful one chosen, and whether each is safe, for methods that prefer",
  ),
  bufferPairs: Source.optional().describe(
    "The same of harmless prompts; answers of which nothing is said count as safe",
  ),
  ...AvoidChoice.shape,
  ...TemplateOptions.shape,
  ...UnusableChoice.shape,
  ...TrainingOptions.shape,
  ...DeviceChoice.shape,
  ...ProfileChoice.shape,
});
export type AlignOptions = z.infer<typeof AlignOptions>;

/** What is measured along an attack. */
export const CurveOptions = z.strictObject({
  every: Count.describe("Steps between measurements"),
  alignment: Source.optional().describe("Held-out refusals: the alignment loss"),
  harmful: Source.optional().describe("Held-out harmful rows: the harmful testing loss, and the prompts of the score"),
  rows: Count.default(100).describe("Rows of each held-out set that are used"),
  moderator: oneOf(MODERATORS).optional().describe("Who judges the answers; without one no harmful score is measured"),
  maxNewTokens: Count.default(64).describe("Longest answer, in tokens"),
});
export type CurveOptions = z.infer<typeof CurveOptions>;

/** How well a training learns, measured on its way. */
export const ValidationOptions = z
  .strictObject({
    every: Count.describe("Steps between measurements"),
    data: Source.optional().describe(
      "Rows that are not trained on: their loss and the share of their tokens that are the likeliest",
    ),
    rows: Count.default(32).describe("Rows of these that are measured each time; all of them at an epoch's end"),
    patience: Count.optional().describe(
      "Ends of epochs in a row at which the loss of all these rows is no lower than before: then training ends there. Without it every epoch is trained",
    ),
  })
  .refine(({ data, patience }) => patience === undefined || data !== undefined, {
    message: "is about rows that are not trained on: it needs data",
    path: ["patience"],
  });
export type ValidationOptions = z.infer<typeof ValidationOptions>;

const { seed: _, ...Poison } = PoisonOptions.shape;

/** Stage 2: a user's fine-tuning, with a share of harmful rows: the attack. */
export const FinetuneOptions = z.strictObject({
  ...RunChoice.shape,
  ...ModelChoice.shape,
  ...BaseChoice.shape,
  adapterPolicy: z
    .enum(["continue", "merge-and-fresh"])
    .default("merge-and-fresh")
    .describe("Keep training the last adapter, or merge all of them into the weights and train a new one"),
  method: oneOf(METHODS).default({ name: "sft" }).describe("Fine-tuning method, with its own settings"),
  task: Source.describe("The user's honest data"),
  harmful: Source.optional().describe("Harmful rows that are mixed in"),
  alignment: Source.optional().describe("Prompts with refusals or safe answers, for methods that train on them too"),
  defenderHarmful: Source.optional().describe(
    "The defender's own prompts with harmful answers, for methods that need them; never the attacker's",
  ),
  general: Source.optional().describe("The defender's own harmless prompts with answers, for methods that need them"),
  defenderAvoid: z
    .array(Source)
    .optional()
    .describe("Data whose questions must not occur in these three; avoid is about the user's rows"),
  ...Poison,
  attack: oneOf(ATTACKS).default({ name: "mix" }).describe("What the user makes of these rows, with its own settings"),
  moderation: oneOf(GUARDS)
    .optional()
    .describe(
      "Guard that reads the uploaded rows and drops those that it flags, with its own settings; none by default",
    ),
  threatModel: z
    .enum(["service", "open-weights"])
    .default("service")
    .describe("Who trains the attacked model: the provider on a user's data, or the attacker"),
  allRows: z
    .boolean()
    .optional()
    .describe("Train on the rows of the task as they are, all of them: no mix, no attack, no harmful rows"),
  curve: CurveOptions.optional().describe("What is measured along the way"),
  validation: ValidationOptions.optional().describe("How well the task is learnt, measured along the way"),
  ...AvoidChoice.shape,
  ...TemplateOptions.shape,
  ...UnusableChoice.shape,
  ...TrainingOptions.shape,
  learningRate: TrainingOptions.shape.learningRate.unwrap().default(1e-5).describe("Highest learning rate"),
  ...DeviceChoice.shape,
  ...ProfileChoice.shape,
});
export type FinetuneOptions = z.infer<typeof FinetuneOptions>;

/** Between stages: an adapter is changed once, without training. */
export const RepairOptions = z.strictObject({
  ...RunChoice.shape,
  ...ModelChoice.shape,
  ...BaseChoice.shape,
  adapterPolicy: z
    .enum(["continue", "merge-and-fresh"])
    .default("merge-and-fresh")
    .describe(
      "Of bare adapters: whether the last one goes on from the one before it, or stands on top of it. A run says so itself",
    ),
  method: oneOf(TRANSFORMS).describe("Repair, with its own settings"),
  unaligned: model(z.string().min(1))
    .optional()
    .describe("The model before it was aligned; by default the model without the adapters below the last one"),
  alignment: Source.optional().describe(
    "Prompts with refusals or safe answers, for repairs that look at what they excite",
  ),
  harmful: Source.optional().describe("Prompts with harmful answers, for repairs that look at what they excite"),
  safety: model(z.string().min(1))
    .optional()
    .describe(
      "LoRA adapter trained on safety data, for repairs that merge with one; by default the one before the last",
    ),
  seed: z.int().nonnegative().default(42).describe("Seed of whatever the repair draws at random"),
  ...AvoidChoice.shape,
  ...TemplateOptions.shape,
  ...UnusableChoice.shape,
  ...DeviceChoice.shape,
});
export type RepairOptions = z.infer<typeof RepairOptions>;

/** Stage 3: how harmful, how useful, how over-careful is a model? */
export const EvaluateOptions = z.strictObject({
  ...RunChoice.shape,
  ...ModelChoice.shape,
  ...BaseChoice.shape,
  harmful: Source.describe("Harmful prompts, unseen in training; their answers are not used"),
  harmless: Source.optional().describe("Harmless prompts, to see whether the model refuses too much"),
  task: Source.optional().describe("Rows of the user's task, unseen in training"),
  fresh: Source.optional().describe("Harmful prompts of another make than those of the training data"),
  taskMetric: z
    .enum([...TASK_METRICS.map(({ name }) => name), ...Object.keys(FORMER_METRICS)])
    .optional()
    .describe("How answers to the task are scored; by default as the known data set is that its rows are read as"),
  attack: oneOf(ATTACKS)
    .optional()
    .describe("Attack whose way of asking the harmful prompts are put in; as they stand by default"),
  moderator: oneOf(MODERATORS).describe("Who judges the answers, with its own settings"),
  maxNewTokens: Count.default(512).describe("Longest answer to harmful and harmless prompts, in tokens"),
  taskMaxNewTokens: Count.default(200).describe("Longest answer to task rows, in tokens"),
  batchSize: Count.default(16).describe("Prompts that are answered at once"),
  keepAnswers: z.boolean().default(false).describe("Write the answers down, harmful ones too"),
  ...TemplateOptions.pick({ template: true }).shape,
  framing: z
    .enum(TEMPLATES)
    .optional()
    .describe("Template to ask in on purpose, whatever the model was trained in; the scores then say both"),
  ...AskingOptions.shape,
  ...DeviceChoice.shape,
});
export type EvaluateOptions = z.infer<typeof EvaluateOptions>;

/**
 * Options checked and completed.
 *
 * @throws {BoosterError} `OPTIONS_INVALID` listing every option that is wrong, unknown ones with the names that exist
 * @example
 * parseOptions(AlignOptions, { run: "runs/sft", model: "assets/world", alignment: "refusals.jsonl" }, "align").epochs; // 20
 */
export function parseOptions<T extends z.ZodObject>(schema: T, options: unknown, what: string): z.output<T> {
  const parsed = schema.safeParse(options);
  if (parsed.success) return parsed.data;
  const faults = faultsOf(parsed.error.issues);
  const unknown = faults.some(({ code, path }) => code === "unrecognized_keys" && path.length === 0);
  throw new BoosterError("OPTIONS_INVALID", `these options do not fit ${what}`, {
    found: faults.map(({ path, message }) => `${path.join(".") || "options"}: ${message}`).join("; "),
    ...(unknown ? { expected: `some of ${Object.keys(schema.shape).join(", ")}` } : {}),
  });
}
