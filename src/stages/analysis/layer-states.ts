import { ops, type Tensor } from "../../autodiff/index.ts";
import type { LayerStates } from "../../methods/finetuning/safety-layers/cosines.ts";
import { batchOf, batchSpec, hiddenStates, IGNORE, type LoadedModel, packBatch } from "../../models/index.ts";

const QUERY = "query";
const BLOCK = /\.\d+$/;

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
  const types = Object.entries(weights).map(
    ([name, { dims }]) => [name, { dtype: "float32" as const, shape: dims }] as const,
  );
  const inputs = {
    ...Object.fromEntries(types),
    ...batchSpec(QUERY, 1),
    last: { dtype: "int32" as const, shape: [1] },
  };
  const program = await device.compile({ inputs }, ({ inputs: given }) => {
    const blocks: Tensor[] = [];
    const final = hiddenStates(model, given, batchOf(QUERY, given), 1, {
      tap(module, x) {
        if (BLOCK.test(module)) blocks.push(x);
        return x;
      },
    });
    const states = [...blocks.slice(0, -1), final].map((x) => ops.gather(x, given.last as Tensor));
    return { outputs: Object.fromEntries(states.map((x, layer) => [String(layer), x])) };
  });
  const all: LayerStates[] = [];
  for (const ids of prompts) {
    const labels = new Int32Array(ids.length).fill(IGNORE);
    const batch = packBatch(QUERY, [{ inputIds: ids, labels }], { chunks: 1, totalLabelled: 1 });
    const last = { dtype: "int32" as const, shape: [1], data: Int32Array.of(ids.length - 1) };
    const states = await program.run({ ...weights, ...batch, last });
    all.push(Array.from({ length: model.layers }, (_, layer) => states[layer]?.data as Float32Array));
  }
  return all;
}
