import { BoosterError } from "../errors.ts";
import { headOf } from "../formats/peft.ts";
import { multiply } from "../tensor/matrix.ts";
import { type HostTensor, zeros } from "../tensor/tensor.ts";
import type { Model } from "./architecture.ts";
import { moduleOf } from "./modules.ts";

type Weight = HostTensor<"float32">;
type Weights = ReadonlyMap<string, Weight>;

/** The weight or bias that a tensor of an adapter changes. */
const targetOf = (tensor: string): string => `${moduleOf(tensor)}.${tensor.endsWith(".bias") ? "bias" : "weight"}`;

/** Weights and biases that an adapter's tensors change, by name. */
const changedBy = (adapter: Weights): Set<string> => new Set([...adapter.keys()].map(targetOf));

/** Whether an adapter changes one of embedding and head, which share a weight: in PEFT the other one then keeps it as it was. */
const unties = (model: Pick<Model, "embedding" | "head">, changed: ReadonlySet<string>): boolean =>
  model.embedding === model.head && (changed.has(model.embedding) || changed.has(headOf(model)));

/**
 * Multiplies an adapter into a model whose weights `load` gives: the model that comes out, and those of its weights that are others.
 * Where an adapter changes one of an embedding and a head that share a weight, they are two from then on.
 *
 * @throws {BoosterError} `ADAPTER_UNSUPPORTED` for a bias where none can be added, and what `mergeLora` throws
 * @example
 * const { model, changed } = mergeInto(base.model, base.load, adapter.tensors, loraScale(adapter.config));
 */
export function mergeInto(
  model: Model,
  load: (name: string) => Weight,
  adapter: Weights,
  scale: number,
): { readonly model: Model; readonly changed: Weights } {
  const names = changedBy(adapter);
  const merged = merging(model, load, adapter, scale);
  if (merged.model.head !== model.head) names.add(model.embedding).add(merged.model.head);
  return { model: merged.model, changed: new Map([...names].map((name) => [name, merged.load(name)])) };
}

/** As `mergeInto`, but each weight is worked out when it is asked for, and none is kept. */
export function merging(
  model: Model,
  load: (name: string) => Weight,
  adapter: Weights,
  scale: number,
): { readonly model: Model; load(name: string): Weight } {
  const merged = adaptedModel(model, changedBy(adapter));
  return {
    model: merged,
    load(name) {
      const from = name === merged.head ? model.head : name;
      const own = () => new Map(model.weights.has(from) ? [[name, load(from)]] : []);
      const part = new Map([...adapter].filter(([tensor]) => targetOf(tensor) === name));
      return part.size === 0 ? load(from) : (mergeLora(own(), part, scale).get(name) as Weight);
    },
  };
}

function adaptedModel(model: Model, changed: ReadonlySet<string>): Model {
  const [weights, modules] = [new Map(model.weights), new Map(model.modules)];
  for (const name of changed) {
    if (weights.has(name) || !name.endsWith(".bias")) continue;
    const linear = model.linears.get(moduleOf(name));
    if (linear === undefined) {
      throw new BoosterError("ADAPTER_UNSUPPORTED", "only linear layers inside the blocks can get a bias", {
        found: name,
      });
    }
    weights.set(name, [linear[0]]);
  }
  if (!unties(model, changed)) return { ...model, weights };
  const head = headOf(model);
  weights.set(head, model.weights.get(model.embedding) ?? []);
  modules.set(moduleOf(head), { role: "head" });
  return { ...model, weights, modules, head };
}

/**
 * config.json for a model that adapters were multiplied into.
 *
 * @throws {BoosterError} `ADAPTER_UNSUPPORTED` for biases that the family's config.json has no word for
 */
export function adaptedConfig(config: unknown, before: Model, after: Model): unknown {
  const added = [...after.weights.keys()].filter((name) => name.endsWith(".bias") && !before.weights.has(name));
  if (added.length > 0) {
    throw new BoosterError("ADAPTER_UNSUPPORTED", "the adapter adds biases, which this kind of model has not", {
      found: added.slice(0, 3).join(", "),
      hint: "Use the adapter with its model: --adapters.",
    });
  }
  return before.head === after.head ? config : { ...(config as object), tie_word_embeddings: false };
}

/**
 * Weights with an adapter multiplied in; computed in float64, untouched weights are shared, not copied.
 *
 *     W + scale B A;   DoRA: its rows divided by their norms, times m;   embedding: W + scale (B A)';   bias + scale b
 *
 * W `[out, in]`, of an embedding `[in, out]`, A `[rank, in]`, B `[out, rank]`, m and b `[out]`; `scale` is alpha / rank. Whole weights of
 * the adapter take the place of the model's first. A bias that the model lacks begins with zeros.
 * Source: Hu et al., arXiv 2106.09685; DoRA: Liu et al., arXiv 2402.09353.
 *
 * @throws {BoosterError} `MISSING_WEIGHT`, `SHAPE_MISMATCH`, naming the module
 * @example
 * const merged = mergeLora(weights, adapter.tensors, adapter.config.alpha / adapter.config.r);
 */
export function mergeLora(weights: Weights, lora: Weights, scale: number): Map<string, Weight> {
  const merged = new Map(weights);
  for (const name of changedBy(lora)) {
    const own = lora.get(name) ?? weights.get(name);
    merged.set(name, name.endsWith(".bias") ? biasOf(name, own, lora, scale) : weightOf(name, own, lora, scale));
  }
  return merged;
}

function biasOf(name: string, own: Weight | undefined, lora: Weights, scale: number): Weight {
  const added = lora.get(`${moduleOf(name)}.lora_B.bias`);
  const bias = own ?? zeros("float32", added?.shape ?? []);
  return added === undefined ? bias : { ...bias, data: bias.data.map((b, i) => b + scale * (added.data[i] as number)) };
}

function weightOf(name: string, own: Weight | undefined, lora: Weights, scale: number): Weight {
  const module = moduleOf(name);
  const needed = <T>(tensor: T | undefined, what: string): T => {
    if (tensor !== undefined) return tensor;
    throw new BoosterError("MISSING_WEIGHT", "a module cannot be merged", { expected: what });
  };
  const weight = needed(own, name);
  const [nameOfA, nameOfB] = lora.has(`${module}.lora_embedding_A`)
    ? [`${module}.lora_embedding_A`, `${module}.lora_embedding_B`]
    : [`${module}.lora_A.weight`, `${module}.lora_B.weight`];
  if (!lora.has(nameOfA) && !lora.has(nameOfB)) return weight;
  const [a, b] = [needed(lora.get(nameOfA), nameOfA), needed(lora.get(nameOfB), nameOfB)];
  const turned = nameOfA.endsWith("embedding_A");
  const [out = 0, width = 0] = turned ? weight.shape.toReversed() : weight.shape;
  const [rank = 0] = a.shape;
  if (`${a.shape} ${b.shape}` !== `${[rank, width]} ${[out, rank]}`) {
    throw new BoosterError("SHAPE_MISMATCH", "LoRA factors do not fit their module", {
      expected: `A [rank, ${width}] and B [${out}, rank]`,
      found: `A [${a.shape.join(", ")}] and B [${b.shape.join(", ")}]`,
      where: module,
    });
  }
  const placeOf = turned
    ? (row: number, column: number) => column * out + row
    : (row: number, column: number) => row * width + column;
  const sum = multiply(b, a).data;
  const data = new Float32Array(sum.length);
  const magnitude = lora.get(`${module}.lora_magnitude_vector`)?.data;
  for (let row = 0; row < out; row++) {
    let square = 0;
    for (let column = 0; column < width; column++) {
      const at = row * width + column;
      const value = (weight.data[placeOf(row, column)] as number) + scale * (sum[at] as number);
      sum[at] = value;
      square += value * value;
    }
    const times = magnitude === undefined ? 1 : (magnitude[row] as number) / Math.sqrt(square);
    for (let column = 0; column < width; column++) {
      data[placeOf(row, column)] = times * (sum[row * width + column] as number);
    }
  }
  return { ...weight, data };
}
