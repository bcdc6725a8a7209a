import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { pretrainingText } from "../data/world/pretraining.ts";
import { vocabulary } from "../data/world/tokenizer.ts";
import { makeFolder, writeFileAtomic } from "../formats/atomic-file.ts";
import { createModel, type Model, partOf } from "../models/index.ts";
import { RandomStream } from "../tensor/random.ts";
import { type HostTensor, sizeOf, tensor } from "../tensor/tensor.ts";
import { describeRun } from "./describe-run.ts";
import { DeviceChoice, parseOptions, TrainingOptions } from "./options.ts";
import { writeModel } from "./publish.ts";
import { runTraining, type TrainingOutcome } from "./training-run.ts";
import { type Context, hashesOf, Workbench } from "./workbench.ts";
import { worldTokenizerFiles } from "./world-files.ts";
import { WORLD_RECIPE } from "./world-recipe.ts";

/** One thread: how ONNX Runtime splits a matrix product among threads decides its last bits. */
const DEVICE = { provider: "cpu", threads: 1 } as const;

/** How the bundled models are made again. */
export const PretrainOptions = z.strictObject({
  run: z.string().min(1).default("runs/pretrain").describe("Folder of the run"),
  resume: z.boolean().default(false).describe("Go on with the run that is in the folder"),
  out: z.string().min(1).describe("Folder that the finished model is copied to"),
  steps: z
    .int()
    .positive()
    .default(WORLD_RECIPE.pretraining.steps)
    .describe("Optimiser steps; fewer give a worse model"),
  seed: z
    .int()
    .nonnegative()
    .default(WORLD_RECIPE.pretraining.seed)
    .describe("Seed of the fresh weights, of the text and of its order: another one gives another base model"),
});
export type PretrainOptions = z.infer<typeof PretrainOptions>;

/**
 * Makes a bundled base model from the bundled world: all weights, through the same loop as everything else, with the same
 * bytes every time on processors with the same vector instructions.
 *
 * @throws {BoosterError} `OPTIONS_INVALID`, and what `RunDirectory.open` and `train` throw
 * @example
 * await pretrain({ out: "assets/world" });
 */
export async function pretrain(
  options: z.input<typeof PretrainOptions>,
  context: Context = {},
): Promise<TrainingOutcome> {
  const chosen = parseOptions(PretrainOptions, options, "pretrain");
  const { seed } = chosen;
  const { documents, batchSize, learningRate, warmup } = WORLD_RECIPE.pretraining;
  const bench = new Workbench(DEVICE);
  const initial = join(chosen.run, "initial");
  const training = join(chosen.run, "training");
  const config = { ...WORLD_RECIPE.model, vocab_size: vocabulary().length };
  context.emit?.({ type: "work", text: "drawing fresh weights" });
  const stored = { config: () => config, tokenizerFiles: worldTokenizerFiles };
  writeModel(initial, stored, freshWeights(createModel(config), seed));
  const origin = await bench.open({ model: initial });
  const start = await bench.start(origin, "merge");
  const { tokenizer } = start.base;
  const [eos = 0] = tokenizer.eosIds;
  const rows = pretrainingText(documents, seed).map((text) => {
    const ids = [...tokenizer.encode(text, { addBos: true }), eos];
    return { inputIds: ids, labels: ids };
  });
  const { steps, resume } = chosen;
  const settings = { steps, batchSize, learningRate, warmup, schedule: "linear" as const, seed, tune: "full" as const };
  const outcome = await runTraining(
    {
      options: { ...TrainingOptions.parse(settings), run: training, resume, method: { name: "sft" }, template: "chat" },
      description: describeRun("pretrain", DeviceChoice, { ...DEVICE, steps }, hashesOf(origin)),
      start,
      aligns: false,
      streams: { alignment: rows },
      data: { documents, seed },
    },
    context,
  );
  if (outcome.model !== undefined) copyModel(outcome.model, chosen.out);
  return outcome;
}

/** The configuration last, as in `writeModel`. */
function copyModel(from: string, to: string): void {
  makeFolder(to);
  const isLast = (name: string) => Number(name === "config.json");
  for (const name of readdirSync(from).sort((a, b) => isLast(a) - isLast(b))) {
    writeFileAtomic(join(to, name), [readFileSync(join(from, name))]);
  }
}

/** Normal weights, 1 / sqrt(in) wide, half of that where a block writes to the residual stream; norms are one. */
function freshWeights(model: Model, seed: number): Map<string, HostTensor<"float32">> {
  const weights = new Map<string, HostTensor<"float32">>();
  for (const [name, shape] of model.weights) {
    const random = new RandomStream(seed, `weights/${name}`);
    const width = widthOf(model, name, shape);
    const values = Float32Array.from({ length: sizeOf(shape) }, (_, i) => (width === 0 ? 1 : width * random.normal(i)));
    weights.set(name, tensor("float32", shape, values));
  }
  return weights;
}

function widthOf(model: Model, name: string, shape: readonly number[]): number {
  if (shape.length === 1) return 0;
  if (name === model.embedding) return 0.05;
  const { role } = partOf(model, name);
  return (role === "output" || role === "down" ? 0.5 : 1) / Math.sqrt(shape[1] as number);
}
