import { join } from "node:path";
import { z } from "zod";
import { LabelledSource, loadLabelled } from "../data/labelled.ts";
import { stopIfAsked } from "../errors.ts";
import { splitByPrompt } from "../evaluate/index.ts";
import { encodeIn, MODERATOR_FILE, verdictBy } from "../evaluate/moderators/sequence-classifier.ts";
import { writeFileAtomic } from "../formats/atomic-file.ts";
import { resolveReferences } from "../hub/resolve.ts";
import { classifiable, probabilities } from "../models/classes.ts";
import { SequenceClassifier } from "../models/classification.ts";
import { mergeAdapter } from "../models/load.ts";
import { describeRun } from "./describe-run.ts";
import { classifierConfig, kindsOf, withClassHead } from "./moderator-classes.ts";
import { type Measured, measure, withVerdicts } from "./moderator-report.ts";
import { BaseChoice, Count, DeviceChoice, Model, parseOptions, RunChoice, TrainingOptions } from "./options.ts";
import { recordModel, writeModel } from "./publish.ts";
import { newAdapter } from "./starting-weights.ts";
import { runTraining, type TrainingOutcome, type TrainingRun } from "./training-run.ts";
import { type Context, hashesOf, Workbench } from "./workbench.ts";

/** A moderator from labelled answers. */
export const TrainModeratorOptions = z.strictObject({
  ...RunChoice.shape,
  model: Model,
  data: LabelledSource.describe("Answers to prompts, each with a verdict, and kinds of harm where they are told apart"),
  heldOutShare: z
    .number()
    .gt(0)
    .lt(1)
    .default(0.2)
    .describe("Share of the prompts that it is measured on, and not trained"),
  maxTokens: Count.default(256).describe("Tokens that are read; longer texts are cut at the end"),
  threshold: z.number().min(0).max(1).default(0.5).describe("An answer is flagged where a probability is greater"),
  ...TrainingOptions.shape,
  epochs: z.number().positive().default(3).describe("Times that the data is gone through"),
  ...BaseChoice.shape,
  ...DeviceChoice.shape,
});
export type TrainModeratorOptions = z.infer<typeof TrainModeratorOptions>;

/** How the training ended, and how well the moderator does on prompts that it was not trained on. */
export interface ModeratorOutcome extends TrainingOutcome {
  readonly heldOut?: Measured;
}

/**
 * Trains a moderator: a language model of any family with a head for kinds of harm, or for harmful or not, on labelled answers. What comes
 * out is a Hugging Face folder (`...ForSequenceClassification`), with `moderator.json` beside it: how it is asked, and its figures on
 * prompts that it was not trained on.
 *
 *     loss = mean over rows of -log softmax(W h)[class], or of the mean over kinds of -log sigmoid(±W h)
 *
 * h is the final state of a row's last token. Source: Hugging Face's `...ForSequenceClassification`.
 *
 * @throws {BoosterError} `CLASSIFIER_DATA` for rows without verdicts and for data of one kind, and what loading, encoding and `runTraining` throw
 * @example
 * const { heldOut } = await trainModerator({ run: "runs/moderator", model: "models/smollm2", data: "labelled.jsonl" });
 */
export async function trainModerator(
  options: z.input<typeof TrainModeratorOptions>,
  context: Context = {},
): Promise<ModeratorOutcome> {
  const parsed = parseOptions(TrainModeratorOptions, options, "moderator train");
  const chosen = await resolveReferences(TrainModeratorOptions, parsed, context);
  const bench = context.bench ?? new Workbench(chosen);
  const origin = await bench.open(chosen);
  const { rows, files } = await loadLabelled(chosen.data);
  const { training, heldOut } = splitByPrompt(withVerdicts(rows), chosen.heldOutShare, chosen.seed);
  const kinds = kindsOf(training);
  const language = await bench.start(origin, "merge", { form: chosen.base });
  const base = await withClassHead(language.base, kinds, chosen.seed);
  const { tokenizer, model } = base;
  const form = tokenizer.chatTemplate === undefined ? "beaver-dam" : "chat";
  const maxTokens = Math.min(chosen.maxTokens, model.maxPositions - 1);
  const config = classifierConfig(base.stored.config() as object, kinds, tokenizer.padId);
  const examples = training.map((row) =>
    classifiable(encodeIn(form, tokenizer, row, maxTokens), kinds.of(row), tokenizer.padId),
  );
  const { tokenizerFiles } = base.stored;
  const publish: TrainingRun["publish"] = async (run, { config: lora, tensors }, made) => {
    const load = lora === undefined ? undefined : (await mergeAdapter(base, { config: lora, tensors })).load;
    const weights = load === undefined ? tensors : new Map([...model.weights.keys()].map((name) => [name, load(name)]));
    const path = run.publish("model", (folder) =>
      writeModel(folder, { config: () => config, tokenizerFiles }, weights),
    );
    await recordModel(run, path, made);
    return path;
  };
  const fresh = chosen.tune === "lora" ? newAdapter(base, chosen) : undefined;
  // The head is new, and trained whole beside the factors.
  const lora = fresh && { ...fresh, tensors: new Map([...fresh.tensors, [model.head, base.load(model.head)]]) };
  const sha256 = files.map((file) => file.sha256).join("\n");
  const outcome = await runTraining(
    {
      options: { ...chosen, method: { name: "sft" }, template: form === "chat" ? "chat" : "alpaca" },
      description: describeRun("moderator", TrainModeratorOptions, chosen, { ...hashesOf(origin), data: sha256 }),
      start: { ...language, base, lora },
      aligns: false,
      streams: { alignment: examples },
      data: { files, rows: { training: training.length, heldOut: heldOut.length }, labels: kinds.labels },
      publish,
    },
    context,
  );
  if (outcome.model === undefined) return outcome;
  context.emit?.({ type: "work", text: `judging ${heldOut.length} held-out answers` });
  const classifier = await SequenceClassifier.load(outcome.model, base.device);
  const logits = await classifier.logits(
    heldOut.map((row) => encodeIn(form, tokenizer, row, maxTokens)),
    () => stopIfAsked(context.signal, "judging"),
  );
  const verdict = verdictBy(kinds.labels, kinds.problem, chosen.threshold);
  const judgements = logits.map((row) => verdict(probabilities(row, kinds.problem)));
  const measured = measure({ name: "moderator" }, heldOut, judgements);
  const { threshold } = chosen;
  const content = { version: 1, form, maxTokens, threshold, heldOut: heldOut.length, data: sha256, ...measured };
  writeFileAtomic(join(outcome.model, MODERATOR_FILE), [Buffer.from(`${JSON.stringify(content, undefined, 2)}\n`)]);
  return { ...outcome, heldOut: measured };
}
