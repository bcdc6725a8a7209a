import { z } from "zod";
import { ops } from "../../autodiff/index.ts";
import { TemplateOptions } from "../../data/options.ts";
import { BoosterError } from "../../errors.ts";
import {
  hiddenStates,
  type LoadedModel,
  outputsAt,
  packRows,
  rowsOf,
  rowTypes,
  weightsOf,
} from "../../models/index.ts";
import { typesOf } from "../../runtime/index.ts";
import { encodeAll, loadDataSet, teller } from "../data.ts";
import { Count, DeviceChoice, Model, ModelChoice, Source } from "../options.ts";
import type { Context } from "../workbench.ts";
import { openToLook, resolved } from "./questions.ts";

/** A model before and after a training, and rows that both read. */
export const DriftOptions = z.strictObject({
  ...ModelChoice.shape,
  before: Model.describe("The same model before the training"),
  data: Source.describe("Rows that both read, such as refusals"),
  rows: Count.default(100).describe("Rows that are used"),
  ...TemplateOptions.shape,
  ...DeviceChoice.shape,
});

/** How far what attention puts out has moved. */
export interface Drift {
  readonly rows: number;
  /** Sum over rows and layers of the L2 distance of a row's attention outputs. */
  readonly total: number;
  /** Mean over rows, by layer. */
  readonly layers: readonly number[];
  /** The same divided by the length of the outputs before. */
  readonly relative: readonly number[];
}

/**
 * Embedding drift: how far a fine-tuning has moved the outputs of attention, the statistic by which Vaccine explains harmful fine-tuning.
 *
 *     drift = Σ over rows, Σ over layers of ‖a_l(after) - a_l(before)‖, over all tokens of a row
 *
 * Source: Huang et al., arXiv 2402.01109; the reference's scripts take batches in the place of rows.
 *
 * @throws {BoosterError} `ARGUMENT_MISMATCH` where the two are not of one shape, and what opening and loading throw
 * @example
 * const { total } = await drift({ model: "runs/attack", before: "runs/hard", data: "refusals.jsonl" });
 */
export async function drift(options: z.input<typeof DriftOptions>, context: Context = {}): Promise<Drift> {
  const chosen = await resolved(DriftOptions, options, "drift", context);
  const { base: after, template } = await openToLook(chosen, context);
  const { base: before } = await openToLook({ ...chosen, model: chosen.before, adapters: [] }, context);
  if (after.model.layers !== before.model.layers || after.model.hiddenSize !== before.model.hiddenSize) {
    const sizeOf = ({ layers, hiddenSize }: LoadedModel["model"]) => `${layers} layers of ${hiddenSize}`;
    throw new BoosterError("ARGUMENT_MISMATCH", "the two models are not of one shape", {
      expected: sizeOf(before.model),
      found: sizeOf(after.model),
      where: "before",
    });
  }
  const tell = teller(context.emit, "data");
  const { examples } = await loadDataSet(chosen.data, [], tell);
  const encoding = { ...chosen, template, tokenizer: after.tokenizer, model: after.model, unusable: "skip" as const };
  const { rows } = encodeAll(examples.slice(0, chosen.rows), encoding, tell);
  const [read, readBefore] = [await attentionOutputs(after), await attentionOutputs(before)];
  const moved = Array(after.model.layers).fill(0);
  const lengths = Array(after.model.layers).fill(0);
  for (const { ids } of rows) {
    const [now, then] = [await read(ids), await readBefore(ids)];
    now.forEach((x, layer) => {
      const start = then[layer] as Float32Array;
      moved[layer] += Math.sqrt(x.reduce((sum, value, i) => sum + (value - (start[i] as number)) ** 2, 0));
      lengths[layer] += Math.sqrt(start.reduce((sum, value) => sum + value * value, 0));
    });
  }
  return {
    rows: rows.length,
    total: moved.reduce((a, b) => a + b, 0),
    layers: moved.map((x) => x / rows.length),
    relative: moved.map((x, layer) => x / lengths[layer]),
  };
}

/** What attention puts out in each layer at every token of a row. */
async function attentionOutputs({ device, model, weights }: LoadedModel) {
  const program = await device.compile({ base: typesOf(weights), rows: rowTypes("row") }, (given) => {
    const [params, rows] = [weightsOf(model, given.base), rowsOf(given.rows)];
    const { outputs } = outputsAt(["attention"], (tap) => hiddenStates(model, params, rows, { tap }));
    return Object.fromEntries(outputs.map((x, layer) => [`${layer}`, ops.alias(x)]));
  });
  return async (ids: ArrayLike<number>): Promise<Float32Array[]> => {
    const found = await program.run({ base: weights, rows: packRows([{ ids, asked: [ids.length - 1] }]) });
    return Array.from({ length: model.layers }, (_, layer) => found[`${layer}`]?.data as Float32Array);
  };
}
