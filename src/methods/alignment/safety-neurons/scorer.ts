import type { Tensor, Tree } from "../../../autodiff/index.ts";
import { BoosterError } from "../../../errors.ts";
import {
  type Attend,
  blocksOf,
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
const ROLES = ["query", "key", "value", "up", "down"] as const;

/** `paper`: change of the output when the neuron is zeroed. `reference`: what the authors' code adds up instead. */
export type ScoreMode = "paper" | "reference";

/** Scores by module, e.g. `model.layers.0.self_attn.q_proj`. */
export type NeuronScores = ReadonlyMap<string, Float32Array>;

type Block = Readonly<Record<(typeof ROLES)[number] | "output", string>>;

/** Names of the modules of each block. @throws {BoosterError} `NEURONS_UNKNOWN` */
function neuronBlocks(model: Model): Block[] {
  const blocks = blocksOf(model);
  const missing = [...ROLES, "output" as const].find((role) => blocks.some((block) => block[role] === undefined));
  if (missing === undefined) return blocks as Block[];
  throw new BoosterError("NEURONS_UNKNOWN", "this architecture has no safety neurons that are known of", {
    expected: [...ROLES, "output"].join(", "),
    found: blocks.some(({ qkv }) => qkv !== undefined)
      ? "queries, keys and values in one module, whose rows are no neurons of one kind"
      : `no ${missing} in a block`,
  });
}

/** Modules that have neurons, in the order of the model. @throws {BoosterError} `NEURONS_UNKNOWN` */
export const neuronModules = (model: Model): string[] =>
  neuronBlocks(model).flatMap((block) => ROLES.map((role) => block[role]));

/** All weights of a model, on the device or in host memory. */
type NeuronWeights = Readonly<Record<string, HostTensor | DeviceTensor>>;

/** How much each neuron matters for a query of tokens; `weights` have the names and types with which the scorer was made. */
export type NeuronScorer = (weights: NeuronWeights, ids: ArrayLike<number>) => Promise<NeuronScores>;

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
  { device, model, weights }: Pick<LoadedModel, "device" | "model"> & { readonly weights: NeuronWeights },
  mode: ScoreMode,
): Promise<NeuronScorer> {
  const blocks = neuronBlocks(model);
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
      return ROLES.map((role, i) => [block[role], found[i] as Tensor] as const);
    });
    return Object.fromEntries(scores);
  });
  return async (base, ids) => {
    const scores = await program.run({ base, rows: packRows([{ ids, asked: [] }]) });
    return new Map(Object.entries(scores).map(([module, { data }]) => [module, data as HostTensor<"float32">["data"]]));
  };
}

/** In the order of `ROLES`. */
type ScoresOfBlock = readonly [q: Tensor, k: Tensor, v: Tensor, up: Tensor, down: Tensor];

const outputOf = (params: Weights, seen: Tree, module: string): Tensor => params.linear(module, seen[module] as Tensor);

function paperScores(model: Model, params: Weights, seen: Tree, block: Block): ScoresOfBlock {
  const [q, k, v] = (["query", "key", "value"] as const).map((role) => outputOf(params, seen, block[role]));
  const changes = attentionChanges(q as Tensor, k as Tensor, model);
  const inner = feedForwardScores(seen[block.down] as Tensor, params.tensor(`${block.down}.weight`));
  const values = valueScores(v as Tensor, params.tensor(`${block.output}.weight`), model);
  return [queryScores(changes), keyScores(changes), values, inner, inner];
}

function referenceScores(
  model: Model,
  params: Weights,
  seen: Tree,
  block: Block,
  { q, k }: { readonly q: Tensor; readonly k: Tensor },
): ScoresOfBlock {
  const shared = referenceAttentionScores(q, k, model);
  const values = activationScores(seen[block.output] as Tensor);
  const inner = activationScores(outputOf(params, seen, block.up));
  return [shared, shared, values, inner, inner];
}
