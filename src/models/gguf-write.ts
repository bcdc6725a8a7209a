/** A model in llama.cpp's format: the inverse of reading it. */
import { BoosterError } from "../errors.ts";
import { type Written, type WrittenFormat, written } from "../formats/encode-tensor.ts";
import { type HostTensor, tensor } from "../tensor/tensor.ts";
import type { Model } from "./architecture.ts";
import { type GgufLayout, translateName, translateWeight } from "./gguf.ts";
import { ARCHITECTURES } from "./registry.ts";

type Weight = HostTensor<"float32">;
type Config = Readonly<Record<string, unknown>>;

/** How llama.cpp writes a family's files. @throws {BoosterError} `GGUF_ARCHITECTURE_UNSUPPORTED` */
export function layoutOf({ architecture }: Pick<Model, "architecture">): GgufLayout {
  const layout = ARCHITECTURES.find(({ name }) => name === architecture)?.gguf;
  if (layout !== undefined) return layout;
  throw new BoosterError("GGUF_ARCHITECTURE_UNSUPPORTED", "llama.cpp's files of this family cannot be written", {
    expected: ARCHITECTURES.flatMap(({ name, gguf }) => (gguf === undefined ? [] : [name])).join(", "),
    found: architecture,
    hint: "Export it as safetensors, and convert that with llama.cpp's convert_hf_to_gguf.py.",
  });
}

/** `general.architecture` of a model's files. */
export const ggufArchitecture = (model: Pick<Model, "architecture">): string =>
  layoutOf(model).architecture ?? model.architecture;

/** GGUF's name of a weight. @throws {BoosterError} `GGUF_TENSOR_UNKNOWN` */
export function ggufName(layout: GgufLayout, name: string): string {
  const found = translateName(layout, "toGguf", name);
  if (found !== undefined) return found;
  throw new BoosterError("GGUF_TENSOR_UNKNOWN", "llama.cpp has no such weight in this family", { found: name });
}

/**
 * All weights of a model as GGUF tensors. Vectors stay float32, as llama.cpp wants them; a matrix whose rows are no whole number of blocks
 * takes float16 in the place of a block format.
 *
 * @param told called with each weight's name before it is read
 */
export function ggufWeights(
  model: Model,
  config: Config,
  load: (name: string) => Weight,
  format: WrittenFormat,
  told: (name: string) => void,
): Map<string, Written> {
  const layout = layoutOf(model);
  return new Map(
    [...model.weights].map(([name, shape]) => {
      const chosen = shape.length === 1 ? "F32" : format === "Q8_0" && (shape[1] ?? 0) % 32 !== 0 ? "F16" : format;
      const made = written(chosen, shape, () => {
        told(name);
        return translateWeight(layout, "toGguf", config, name, load(name));
      });
      return [ggufName(layout, name), made];
    }),
  );
}

/**
 * LoRA factors as llama.cpp's adapters hold them: A as it is, B with its rows in the order of the weight's.
 *
 * @throws {BoosterError} `GGUF_TENSOR_UNKNOWN`
 */
export function ggufFactors(
  model: Model,
  config: Config,
  factors: ReadonlyMap<string, Weight>,
  format: WrittenFormat,
): Map<string, Written> {
  const layout = layoutOf(model);
  return new Map(
    [...factors]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, factor]) => {
        const [, module = "", half = ""] = /^(.+)\.lora_([AB])\.weight$/.exec(name) ?? [];
        const weight = `${module}.weight`;
        const load = () => (half === "B" ? translateWeight(layout, "toGguf", config, weight, factor) : factor);
        return [`${ggufName(layout, weight)}.lora_${half.toLowerCase()}`, written(format, factor.shape, load)];
      }),
  );
}

/** A vector of numbers, as a tensor that is no weight. */
export const ggufVector = (values: readonly number[]): Written =>
  written("F32", [values.length], () => tensor("float32", [values.length], values));
