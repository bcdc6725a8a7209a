import type { Tensor, Tree } from "../../../autodiff/index.ts";
import { BoosterError } from "../../../errors.ts";
import {
  type Attend,
  type LoadedModel,
  type Model,
  packRows,
  rowsOf,
  rowTypes,
  type Weights,
  weightsOf,
  within,
} from "../../../models/index.ts";
import { type DeviceTensor, typesOf } from "../../../runtime/index.ts";
import type { HostTensor } from "../../../tensor/tensor.ts";
import {
  activationScores,
  attentionChanges,
  feedForwardScores,
  keyScores,
  queryScores,
  referenceAttentionScores,
  valueScores,
} from "./scores.ts";

/** Matrices that have neurons: rows of all but the last, whose columns they are. */
export const KINDS = [
  "self_attn.q_proj",
  "self_attn.k_proj",
  "self_attn.v_proj",
  "mlp.up_proj",
  "mlp.down_proj",
] as const;

/** `paper`: change of the output when the neuron is zeroed. `reference`: what the authors' code adds up instead. */
export type ScoreMode = "paper" | "reference";

/** Scores by module, e.g. `model.layers.0.self_attn.q_proj`. */
export type NeuronScores = ReadonlyMap<string, Float32Array>;

/** Blocks of a model, by what their modules' names begin with. @throws {BoosterError} `NEURONS_UNKNOWN` */
export function blocksOf(model: Model): string[] {
  const blocks = new Set([...model.linears.keys()].map((module) => module.replace(/\.(?:self_attn|mlp)\..*$/, "")));
  for (const block of blocks) {
    const missing = KINDS.find((kind) => !model.linears.has(`${block}.${kind}`));
    if (missing === undefined) continue;
    throw new BoosterError("NEURONS_UNKNOWN", "this architecture has no safety neurons that are known of", {
      expected: KINDS.join(", "),
      found: `no ${missing} in ${block}`,
    });
  }
  return [...blocks];
}

/** How much each neuron matters for a query of tokens; `weights` are all weights of the model, on the device or in host memory. */
export type NeuronScorer = (
  weights: Readonly<Record<string, HostTensor | DeviceTensor>>,
  ids: ArrayLike<number>,
) => Promise<NeuronScores>;

/**
 * Scores neurons in one forward pass over a query's tokens.
 *
 * In mode `reference` scores of keys and values have as many places as there are dimensions of query heads: `sharedRow` maps them.
 *
 * @example
 * const score = await neuronScorer(base, "paper");
 * const scores = await score(base.weights, ids);
 */
export async function neuronScorer(
  { device, model, weights }: Pick<LoadedModel, "device" | "model" | "weights">,
  mode: ScoreMode,
): Promise<NeuronScorer> {
  const blocks = blocksOf(model);
  const program = await device.compile({ base: typesOf(weights), rows: rowTypes("query") }, (given) => {
    const seen: Record<string, Tensor> = {};
    const rotated: { readonly q: Tensor; readonly k: Tensor }[] = [];
    const rows = rowsOf(given.rows);
    const params = weightsOf(model, given.base);
    const where = within(model, params, rows);
    const attend: Attend = (layer, q, k, v) => {
      rotated[layer] = { q, k };
      return where.attend(layer, q, k, v);
    };
    const observe = (module: string, x: Tensor) => {
      seen[module] = x;
    };
    model.hidden({ weights: params, ids: rows.ids, where: { ...where, attend }, observe });
    const scores = blocks.flatMap((block, layer) => {
      const found =
        mode === "paper"
          ? paperScores(model, params, seen, block)
          : referenceScores(model, params, seen, block, rotated[layer] as (typeof rotated)[number]);
      return KINDS.map((kind, i) => [`${block}.${kind}`, found[i] as Tensor] as const);
    });
    return Object.fromEntries(scores);
  });
  return async (base, ids) => {
    const scores = await program.run({ base, rows: packRows([{ ids, asked: [] }]) });
    return new Map(Object.entries(scores).map(([module, { data }]) => [module, data as HostTensor<"float32">["data"]]));
  };
}

/** In the order of `KINDS`. */
type ScoresOfBlock = readonly [q: Tensor, k: Tensor, v: Tensor, up: Tensor, down: Tensor];

const outputOf = (params: Weights, seen: Tree, module: string): Tensor => params.linear(module, seen[module] as Tensor);

function paperScores(model: Model, params: Weights, seen: Tree, block: string): ScoresOfBlock {
  const [q, k, v] = (["q", "k", "v"] as const).map((x) => outputOf(params, seen, `${block}.self_attn.${x}_proj`));
  const changes = attentionChanges(q as Tensor, k as Tensor, model);
  const down = `${block}.mlp.down_proj`;
  const inner = feedForwardScores(seen[down] as Tensor, params.tensor(`${down}.weight`));
  const values = valueScores(v as Tensor, params.tensor(`${block}.self_attn.o_proj.weight`), model);
  return [queryScores(changes), keyScores(changes), values, inner, inner];
}

function referenceScores(
  model: Model,
  params: Weights,
  seen: Tree,
  block: string,
  { q, k }: { readonly q: Tensor; readonly k: Tensor },
): ScoresOfBlock {
  const shared = referenceAttentionScores(q, k, model);
  const values = activationScores(seen[`${block}.self_attn.o_proj`] as Tensor);
  const inner = activationScores(outputOf(params, seen, `${block}.mlp.up_proj`));
  return [shared, shared, values, inner, inner];
}
