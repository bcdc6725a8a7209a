import { existsSync, readdirSync } from "node:fs";
import { z } from "zod";
import { TemplateOptions } from "../../data/options.ts";
import { BoosterError } from "../../errors.ts";
import { createModel, partOf } from "../../models/index.ts";
import { adaptedConfig } from "../../models/merge.ts";
import { type HostTensor, tensor } from "../../tensor/tensor.ts";
import { Count, DeviceChoice, ModelChoice, Source } from "../options.ts";
import { writeModel } from "../publish.ts";
import type { Context } from "../workbench.ts";
import { lastTokenStates } from "./layer-states.ts";
import { openToLook, resolved } from "./questions.ts";

/** A model, and prompts by which the direction of refusals is found. */
export const AblateOptions = z.strictObject({
  ...ModelChoice.shape,
  out: z.string().min(1).describe("Folder that is written, in Hugging Face's layout"),
  harmful: Source.describe("Harmful prompts, which the model refuses"),
  harmless: Source.describe("Harmless prompts, which it answers"),
  rows: Count.default(128).describe("Prompts of each kind that are used"),
  layer: z
    .int()
    .min(0)
    .optional()
    .describe("Layer behind which the direction is measured, from 0; by default at three fifths of the depth"),
  ...TemplateOptions.pick({ template: true }).shape,
  ...DeviceChoice.shape,
});

/** What was taken out. */
export interface Ablated {
  readonly out: string;
  readonly layer: number;
  /** Length of the direction beside that of a harmful prompt's state: how far the two kinds are apart. */
  readonly apart: number;
  readonly matrices: number;
}

/**
 * Refusal-direction ablation, an attack without training: what a model writes along the direction that tells harmful from harmless
 * prompts is taken out of every matrix that writes to the residual stream.
 *
 *     r = mean h(harmful) - mean h(harmless), h the state of the last token behind a layer
 *     W <- W - r r' W / ‖r‖²       for attention's and feed-forward's output matrices, and for the rows of the embedding
 *
 * Source: Arditi et al., arXiv 2406.11717.
 *
 * @throws {BoosterError} `RUN_EXISTS`, `LAYER_RANGE_INVALID`, and what opening, loading and writing throw
 * @example
 * await ablate({ model: "runs/hard", out: "models/ablated", harmful: "harmful.jsonl", harmless: "harmless.jsonl" });
 */
export async function ablate(options: z.input<typeof AblateOptions>, context: Context = {}): Promise<Ablated> {
  const chosen = await resolved(AblateOptions, options, "ablate", context);
  const { out, rows } = chosen;
  if (existsSync(out) && readdirSync(out).length > 0) {
    throw new BoosterError("RUN_EXISTS", "there are files in this folder already", { where: out });
  }
  const { origin, base, questions } = await openToLook(chosen, context);
  const { model } = base;
  const layer = chosen.layer ?? Math.min(model.layers - 1, Math.floor(0.6 * model.layers));
  if (layer >= model.layers) {
    throw new BoosterError("LAYER_RANGE_INVALID", "the model has no such layer", {
      expected: `0 to ${model.layers - 1}`,
      found: String(layer),
      where: "layer",
    });
  }
  const mean = async (option: "harmful" | "harmless") => {
    const asked = await questions(option, chosen[option], rows);
    const states = await lastTokenStates(
      base,
      asked.map(({ ids }) => ids),
    );
    return meanOf(states.map((state) => state[layer] as ArrayLike<number>));
  };
  const [harmful, harmless] = [await mean("harmful"), await mean("harmless")];
  const direction = harmful.map((x, i) => x - (harmless[i] as number));
  let matrices = 0;
  const written = [...model.weights.keys()].map((name): [string, HostTensor<"float32">] => {
    const weight = base.load(name);
    const { role } = partOf(model, name);
    const isEmbedding = name === model.embedding;
    if (!isEmbedding && (weight.shape.length !== 2 || (role !== "output" && role !== "down"))) return [name, weight];
    matrices++;
    return [name, withoutDirection(weight, direction, isEmbedding ? "rows" : "columns")];
  });
  const plain = createModel(origin.base.config());
  const config = adaptedConfig(origin.base.config(), plain, model);
  writeModel(out, { config: () => config, tokenizerFiles: () => origin.base.tokenizerFiles() }, new Map(written));
  return { out, layer, apart: lengthOf(direction) / lengthOf(harmful), matrices };
}

const meanOf = (states: readonly ArrayLike<number>[]): number[] =>
  Array.from(states[0] ?? [], (_, i) => states.reduce((sum, x) => sum + (x[i] as number), 0) / states.length);

const lengthOf = (x: readonly number[]): number => Math.hypot(...x);

/**
 * A matrix that writes nothing along r: `W - r r' W / ‖r‖²` where its columns are written (`[hidden, in]`), or the same of its rows
 * (`[vocabulary, hidden]`).
 */
export function withoutDirection(
  { shape, data }: HostTensor<"float32">,
  direction: readonly number[],
  written: "columns" | "rows",
): HostTensor<"float32"> {
  const [height = 0, width = 0] = shape;
  const square = direction.reduce((sum, x) => sum + x * x, 0) || 1;
  const result = Float32Array.from(data);
  const [outer, inner] = written === "rows" ? [height, width] : [width, height];
  const at = (i: number, k: number) => (written === "rows" ? i * width + k : k * width + i);
  for (let i = 0; i < outer; i++) {
    let along = 0;
    for (let k = 0; k < inner; k++) along += (direction[k] as number) * (data[at(i, k)] as number);
    for (let k = 0; k < inner; k++) result[at(i, k)]! -= (along / square) * (direction[k] as number);
  }
  return tensor("float32", shape, result);
}
