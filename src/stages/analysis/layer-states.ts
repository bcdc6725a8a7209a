import { ops } from "../../autodiff/index.ts";
import type { LayerStates } from "../../methods/finetuning/safety-layers/cosines.ts";
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

/**
 * What a model makes of the last token of each prompt, after every layer; after the last one with the final norm, as Hugging Face's
 * `output_hidden_states` gives it. One forward pass a prompt.
 *
 * @param prompts token ids
 * @example
 * const [query] = await lastTokenStates(base, [ids]);
 * query?.length; // layers
 */
export async function lastTokenStates(
  { device, model, weights }: Pick<LoadedModel, "device" | "model" | "weights">,
  prompts: readonly ArrayLike<number>[],
): Promise<LayerStates[]> {
  const program = await device.compile({ base: typesOf(weights), rows: rowTypes("query") }, (given) => {
    const [params, rows] = [weightsOf(model, given.base), rowsOf(given.rows)];
    const { value: final, outputs } = outputsAt(["block"], (tap) => hiddenStates(model, params, rows, { tap }));
    return { states: [...outputs.slice(0, -1), final].map((x) => ops.gather(x, rows.labelled.to)) };
  });
  const all: LayerStates[] = [];
  for (const ids of prompts) {
    const { states } = await program.run({ base: weights, rows: packRows([{ ids, asked: [ids.length - 1] }]) });
    all.push(states.map(({ data }) => data as Float32Array));
  }
  return all;
}
