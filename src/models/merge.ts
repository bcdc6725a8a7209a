import { BoosterError } from "../errors.ts";
import { multiply } from "../tensor/matrix.ts";
import type { HostTensor } from "../tensor/tensor.ts";
import { moduleOf } from "./modules.ts";

type Weights = ReadonlyMap<string, HostTensor<"float32">>;

/**
 * Weights with LoRA factors multiplied in: `W + scale * B A`, summed in float64. Untouched weights are shared, not copied.
 *
 * W `[out, in]`, A `[rank, in]`, B `[out, rank]`; `scale` is alpha / rank.
 *
 * @throws {BoosterError} `MISSING_WEIGHT`, `SHAPE_MISMATCH`, naming the module
 * @example
 * const merged = mergeLora(weights, adapter.tensors, adapter.config.alpha / adapter.config.r);
 */
export function mergeLora(weights: Weights, lora: Weights, scale: number): Map<string, HostTensor<"float32">> {
  const modules = new Set([...lora.keys()].map(moduleOf));
  const merged = new Map(weights);
  for (const module of modules) {
    const named = (from: Weights, name: string) => {
      const found = from.get(name);
      if (found === undefined)
        throw new BoosterError("MISSING_WEIGHT", "a module cannot be merged", { expected: name });
      return found;
    };
    const weight = named(weights, `${module}.weight`);
    const a = named(lora, `${module}.lora_A.weight`);
    const b = named(lora, `${module}.lora_B.weight`);
    merged.set(`${module}.weight`, mergeOne(module, weight, a, b, scale));
  }
  return merged;
}

function mergeOne(
  module: string,
  weight: HostTensor<"float32">,
  a: HostTensor<"float32">,
  b: HostTensor<"float32">,
  scale: number,
): HostTensor<"float32"> {
  const [out = 0, width = 0] = weight.shape;
  const [rank = 0] = a.shape;
  if (`${a.shape} ${b.shape}` !== `${[rank, width]} ${[out, rank]}`) {
    throw new BoosterError("SHAPE_MISMATCH", "LoRA factors do not fit their module", {
      expected: `A [rank, ${width}] and B [${out}, rank]`,
      found: `A [${a.shape.join(", ")}] and B [${b.shape.join(", ")}]`,
      where: module,
    });
  }
  const { data } = multiply(b, a);
  return { ...weight, data: weight.data.map((w, i) => w + scale * (data[i] as number)) };
}
