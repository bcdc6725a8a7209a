import { didYouMean } from "../choice.ts";
import { BoosterError } from "../errors.ts";
import { type Adapter, type AdapterConfig, type LoraConfig, loraScale, readAdapter } from "../formats/peft.ts";
import type { Tokenizer } from "../formats/tokenizer.ts";
import type { Device, DeviceTensors } from "../runtime/index.ts";
import { RandomStream } from "../tensor/random.ts";
import { type HostTensor, tensor, zeros } from "../tensor/tensor.ts";
import type { Model } from "./architecture.ts";
import { mergeInto } from "./merge.ts";
import { type AdapterLink, lineage } from "./model-file.ts";
import { moduleOf } from "./modules.ts";
import { standsTransposed, transposed } from "./orientation.ts";
import { createModel } from "./registry.ts";
import { type Base, openSource } from "./source.ts";
import { type BaseForm, inForm, namedParts } from "./storages.ts";
import { HEADS, type ModelWeights } from "./stored-weights.ts";
import type { Adapter as OnWeights } from "./weights.ts";

export { loraScale };

/** LoRA factors or weights by name. */
export type NamedWeights = ReadonlyMap<string, HostTensor<"float32">>;

/** A model that is ready to be computed with. */
export interface LoadedModel {
  /** Where it is stored; merged adapters are not in there. */
  readonly stored: Base;
  readonly model: Model;
  readonly tokenizer: Tokenizer;
  readonly device: Device;
  /** All weights on the device, as they are stored: one copy, shared by every program. Programs read them through `weightsOf`. */
  readonly weights: DeviceTensors;
  /** Weights in host memory, one by one, the very numbers that programs compute with; merged ones where adapters are merged. */
  load(name: string): HostTensor<"float32">;
}

interface Loading {
  /** What its config.json is the model of: a language model by default. */
  readonly create?: typeof createModel;
  /** What its matrices are kept in: as they are stored by default. */
  readonly form?: BaseForm | undefined;
}

/**
 * Loads a model, a run's with all its adapters merged, and puts its weights on the device.
 *
 * @throws {BoosterError} what `openSource`, `loadBase` and `readLora` throw
 * @example
 * const base = await loadModel("models/smollm2", new Device());
 */
export async function loadModel(path: string, device: Device, loading: Loading = {}): Promise<LoadedModel> {
  const { base, sha256 = "", adapters } = openSource(path);
  let loaded = await loadBase(base, device, loading);
  for (const adapter of readChain(loaded.model, sha256, adapters, readPeft))
    loaded = await mergeAdapter(loaded, adapter);
  return loaded;
}

/**
 * Loads a model without what stands on it.
 *
 * @throws {BoosterError} `MODEL_WEIGHTS_MISMATCH`, and what opening `stored` and `createModel` throw
 */
export async function loadBase(
  stored: Base,
  device: Device,
  { create = createModel, form }: Loading = {},
): Promise<LoadedModel> {
  const all = stored.weights();
  const model = create(stored.config());
  checkWeights(model, all, stored.path);
  const { keep, load } = inForm(model, all, form);
  const weights: Record<string, DeviceTensors[string]> = {};
  // One after the other, so that host memory never holds a second copy of the whole model.
  for (const name of model.weights.keys()) {
    // No other provider has all that expands them.
    const kept = device.onHost ? keep(name) : undefined;
    Object.assign(weights, await device.uploadAll(kept === undefined ? [[name, load(name)]] : namedParts(name, kept)));
  }
  return { stored, model, tokenizer: stored.tokenizer(), device, weights, load };
}

/** What quantised checkpoints keep beside a weight: bitsandbytes, GPTQ and AWQ, compressed tensors, FP8. */
const QUANTISED = /\.(absmax|quant_map|qweight|qzeros|weight_packed|weight_scale|weight_scale_inv)$/;

/** @throws {BoosterError} `MODEL_WEIGHTS_MISMATCH` */
export function checkWeights(model: Model, weights: ModelWeights, where: string): void {
  const mismatch = (expected: string, found: string) =>
    new BoosterError("MODEL_WEIGHTS_MISMATCH", "the weights are not those that config.json speaks of", {
      expected,
      found,
      where,
      hint: weights.names().some((name) => QUANTISED.test(name))
        ? "This is a quantised checkpoint, which is not read: take a GGUF file, or the checkpoint that it was made from."
        : "Is the download complete, and does config.json belong to it?",
    });
  for (const [name, shape] of model.weights) {
    const found = weights.has(name) ? weights.shapeOf(name) : undefined;
    if (`${found}` === `${shape}`) continue;
    throw mismatch(`${name} [${shape.join(", ")}]`, found === undefined ? "no such tensor" : `[${found.join(", ")}]`);
  }
  const own = HEADS.find((name) => model.head === model.embedding && weights.names().includes(name));
  if (own !== undefined && !sameNumbers(weights.load(own), weights.load(model.embedding))) {
    throw new BoosterError("MODEL_WEIGHTS_MISMATCH", "embedding and output head are said to be one, and differ", {
      expected: `${own} to be the same numbers as ${model.embedding}, or not to be there`,
      found: "other numbers",
      where,
      hint: "Hugging Face's library from version 5 on does not tie them then: set tie_word_embeddings to false in config.json.",
    });
  }
  // Other tensors are none of the model's, but a bias would be added.
  const bias = [...model.modules.keys()]
    .map((module) => `${module}.bias`)
    .find((name) => weights.has(name) && !model.weights.has(name));
  if (bias !== undefined) throw mismatch(`no ${bias}`, "a bias");
}

const sameNumbers = ({ data }: HostTensor, { data: other }: HostTensor): boolean =>
  data.length === other.length && data.every((value, i) => value === other[i]);

/** What factors, or whole weights, are to a program; nothing at all where there are none. */
export const asAdapter = (
  read: { config?: LoraConfig; tensors: NamedWeights } | undefined,
): OnWeights<NamedWeights> => ({
  scale: read?.config === undefined ? 1 : loraScale(read.config),
  tensors: read?.tensors ?? new Map(),
});

/**
 * New LoRA factors: A uniform in ±1/sqrt(in), B zero, so that the model is unchanged at first.
 * Source: PEFT's `reset_lora_parameters`, Kaiming-uniform with a = sqrt(5).
 *
 * @throws {BoosterError} `NO_TARGET_MODULES` for a name that no layer has
 * @example
 * freshLora(model, { r: 32, alpha: 4, targetModules: ["q_proj", "v_proj"], useRslora: false }, 42);
 */
export function freshLora(model: Model, { r, targetModules }: LoraConfig, seed: number): NamedWeights {
  const matches = (module: string) => (target: string) => module === target || module.endsWith(`.${target}`);
  const modules = [...model.linears.keys()];
  const unknown = targetModules.find((target) => !modules.some((module) => matches(module)(target)));
  if (unknown !== undefined) {
    const kinds = [...new Set(modules.map((module) => module.split(".").at(-1) as string))];
    throw new BoosterError("NO_TARGET_MODULES", "the model has no layer of this name to put LoRA factors on", {
      expected: kinds.join(", "),
      found: unknown,
      where: "targetModules",
      hint: didYouMean(unknown, kinds),
    });
  }
  const factors = new Map<string, HostTensor<"float32">>();
  for (const [module, [out, width]] of model.linears) {
    if (!targetModules.some(matches(module))) continue;
    const random = new RandomStream(seed, `lora/${module}`);
    const bound = 1 / Math.sqrt(width);
    const down = Float32Array.from({ length: r * width }, (_, i) => bound * (2 * random.uniform(i) - 1));
    factors.set(`${module}.lora_A.weight`, tensor("float32", [r, width], down));
    factors.set(`${module}.lora_B.weight`, zeros("float32", [out, r]));
  }
  return factors;
}

/** How an adapter is read that stands on what `below` tells of, see `lineage`. */
type ReadAdapter = (on: Pick<LoadedModel, "model">, folder: string, below?: string) => Adapter;

/**
 * A PEFT adapter of any kind that can be multiplied into the model, checked against it.
 *
 * @throws {BoosterError} what `checkParent` and `readAdapter` throw
 */
export const readPeft: ReadAdapter = ({ model }, folder, below) => {
  const isTurned = (name: string) => standsTransposed({ model_type: model.architecture }, name);
  const weights = [...model.weights].map(
    ([name, shape]) => [name, isTurned(name) ? shape.toReversed() : shape] as const,
  );
  const { config, tensors } = readAdapter(folder, { ...model, weights: new Map(weights) });
  checkParent(config, folder, below);
  const turned = [...tensors].map(([name, weight]) => [name, isTurned(name) ? transposed(weight) : weight] as const);
  return { config, tensors: new Map(turned) };
};

/** Tensors of an adapter beside the LoRA factors on linear layers, which alone can be trained on, added up and repaired. */
export const beyondFactors = ({ linears }: Pick<Model, "linears">, { tensors }: Pick<Adapter, "tensors">): string[] =>
  [...tensors.keys()].filter((name) => !/\.lora_[AB]\.weight$/.test(name) || !linears.has(moduleOf(name)));

/**
 * LoRA factors on linear layers, checked against the model.
 *
 * @throws {BoosterError} `ADAPTER_UNSUPPORTED` for an adapter that holds more, and what `readPeft` throws
 */
export const readLora: ReadAdapter = (on, folder, below) => {
  const adapter = readPeft(on, folder, below);
  const more = beyondFactors(on.model, adapter);
  if (more.length === 0) return adapter;
  throw new BoosterError("ADAPTER_UNSUPPORTED", "this adapter holds more than LoRA factors on linear layers", {
    expected: "lora_A and lora_B alone, where an adapter is trained on, added up or repaired",
    found: more.slice(0, 3).join(", "),
    where: folder,
    hint: "Multiply it into its model first, and go on from that: booster merge --model MODEL --adapters ADAPTER --out FOLDER.",
  });
};

/** @throws {BoosterError} `PARENT_MISSING` where an adapter was trained on top of something else than what is below it */
export function checkParent({ parent }: Pick<AdapterConfig, "parent">, where: string, below = "another model"): void {
  if (parent === undefined || parent === below) return;
  throw new BoosterError(
    "PARENT_MISSING",
    "this adapter changes what other adapters made, and is nothing without them",
    {
      expected: `the model ${parent.slice(0, 12)} below it`,
      found: below.slice(0, 13),
      where,
      hint: "Give the run's folder as --model, or its adapter/, which stands on the base model alone.",
    },
  );
}

/** Adapters that stand on one another, the first on the base of that hash. Throws what `read` throws. */
export const readChain = (
  model: Model,
  base: string,
  adapters: readonly AdapterLink[],
  read: ReadAdapter = readLora,
): Adapter[] => adapters.map(({ folder }, i) => read({ model }, folder, lineage(base, adapters.slice(0, i))));

/**
 * The model with an adapter multiplied into its weights; the other weights are shared with `base`.
 *
 * @example
 * const aligned = await mergeAdapter(base, readPeft(base, "runs/aligned/adapter"));
 */
export async function mergeAdapter(base: LoadedModel, { config, tensors }: Adapter): Promise<LoadedModel> {
  const { model, changed } = mergeInto(base.model, base.load, tensors, loraScale(config));
  return {
    ...base,
    model,
    weights: { ...base.weights, ...(await base.device.uploadAll(changed)) },
    load: (name) => changed.get(name) ?? base.load(name),
  };
}
