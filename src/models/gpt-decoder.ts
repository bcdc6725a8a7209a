import { ops, type Tensor } from "../autodiff/index.ts";
import { BoosterError } from "../errors.ts";
import { activated, layerNorm, type Rotation, turnAt } from "../nn/index.ts";
import { ACTIVATIONS, type ActivationName } from "./activation-keys.ts";
import type { Forward, Model } from "./architecture.ts";
import type { Role } from "./modules.ts";
import { Parts } from "./parts.ts";
import type { Weights } from "./weights.ts";

/** Width of a head. @throws {BoosterError} `MODEL_CONFIG_INVALID` */
export function headsOf(family: string, hidden: number, heads: number): number {
  if (hidden % heads === 0) return hidden / heads;
  throw new BoosterError("MODEL_CONFIG_INVALID", `the attention heads of this ${family} do not add up`, {
    expected: "a hidden size that is a multiple of the number of heads",
    found: `hidden size ${hidden}, ${heads} heads`,
    where: "config.json",
  });
}

/** Names of modules; those of a block stand below `block` and its number. */
interface Names {
  readonly embedding: string;
  /** Embedding of places, if there is one. */
  readonly positions?: string;
  readonly block: string;
  readonly attentionNorm: string;
  readonly feedForwardNorm: string;
  /** Queries, keys and values: three modules, or one. */
  readonly attention: readonly [string] | readonly [string, string, string];
  readonly output: string;
  readonly up: string;
  readonly down: string;
  readonly finalNorm?: string | undefined;
  /** Absent: the embedding's weight. */
  readonly head?: string | undefined;
  /** From the embedding's width to that of the states, and back. */
  readonly resize?: readonly [into: string, outOf: string] | undefined;
}

/** A decoder in the manner of GPT: LayerNorm, biases, a feed-forward part without gate. Source: Radford et al., GPT-2, 2019. */
export interface GptDecoder {
  readonly architecture: string;
  readonly names: Names;
  readonly hiddenSize: number;
  readonly innerSize: number;
  readonly layers: number;
  readonly heads: number;
  readonly vocabSize: number;
  readonly maxPositions: number;
  /** Width of the embedding, where it is another. */
  readonly embeddingSize: number;
  readonly epsilon: number;
  readonly activation: ActivationName;
  /** Whether attention's, and the feed-forward part's, linear layers have biases. */
  readonly bias: { readonly attention: boolean; readonly feedForward: boolean };
  /** Rows of the embedding of places before that of place 0. */
  readonly offset?: number;
  /** Where padding stands, if not each at its own place. */
  readonly paddingPosition?: number;
  readonly rotation?: Rotation;
  /**
   * `before`: x + f(norm(x)) for attention, then for the feed-forward part; `after`: norm(x + f(x));
   * `parallel`: x + attention(norm(x)) + feedForward(norm'(x)).
   */
  readonly residual: "before" | "after" | "parallel";
  /** Whether the outputs of queries, keys and values in one module stand together for each head, and not all queries first. */
  readonly byHead?: boolean;
  /** What scores are multiplied by. */
  scale(layer: number): number;
}

function declare(spec: GptDecoder): Parts {
  const { names, hiddenSize: hidden, innerSize: inner, embeddingSize, vocabSize, bias } = spec;
  const parts = new Parts();
  parts.add(names.embedding, [vocabSize, embeddingSize], { role: "embedding" });
  if (names.positions !== undefined) {
    parts.add(names.positions, [spec.maxPositions + (spec.offset ?? 0), hidden], { role: "positions" });
  }
  const [into, outOf] = names.resize ?? [];
  if (into !== undefined) parts.linear(into, [hidden, embeddingSize], { role: "resize" }, false);
  for (let layer = 0; layer < spec.layers; layer++) {
    const linear = (name: string, role: Role, out: number, width: number, biased: boolean) =>
      parts.linear(`${names.block}.${layer}.${name}`, [out, width], { role, layer }, biased);
    const norm = (name: string) =>
      parts.add(`${names.block}.${layer}.${name}`, [hidden], { role: "norm", layer }, true);
    norm(names.attentionNorm);
    const roles: readonly Role[] = names.attention.length === 1 ? ["qkv"] : ["query", "key", "value"];
    for (const [i, name] of names.attention.entries()) {
      linear(name, roles[i] as Role, (3 * hidden) / roles.length, hidden, bias.attention);
    }
    linear(names.output, "output", hidden, hidden, bias.attention);
    norm(names.feedForwardNorm);
    linear(names.up, "up", inner, hidden, bias.feedForward);
    linear(names.down, "down", hidden, inner, bias.feedForward);
  }
  if (names.finalNorm !== undefined) parts.add(names.finalNorm, [hidden], { role: "norm" }, true);
  if (outOf !== undefined) parts.linear(outOf, [embeddingSize, hidden], { role: "resize" }, false);
  if (names.head !== undefined) parts.add(names.head, [vocabSize, embeddingSize], { role: "head" });
  return parts;
}

/** The outputs of one module, `[tokens, 3 hidden]`, as queries, keys and values. */
function separate(x: Tensor, heads: number, byHead: boolean): Tensor[] {
  const width = (x.dim(1) as number) / (3 * heads);
  const apart = ops.reshape(x, byHead ? [x.dim(0), heads, 3, width] : [x.dim(0), 3, heads, width]);
  const axis = byHead ? 2 : 1;
  return [0, 1, 2].map((i) => ops.reshape(ops.slice(apart, axis, i, i + 1), [x.dim(0), heads * width]));
}

/** The model that such a description stands for. */
export function gptDecoder(spec: GptDecoder): Model {
  const { names, layers, heads, hiddenSize, epsilon, residual } = spec;
  const { weights: shapes, linears, modules } = declare(spec);
  const [into, outOf] = names.resize ?? [];
  const norm = (weights: Weights, name: string, x: Tensor) =>
    layerNorm(x, weights.tensor(`${name}.weight`), weights.tensor(`${name}.bias`), epsilon);

  function finalNorm(weights: Weights, x: Tensor, project = weights.linear): Tensor {
    const normed = names.finalNorm === undefined ? x : norm(weights, names.finalNorm, x);
    return outOf === undefined ? normed : project(outOf, normed);
  }

  function placed(weights: Weights, x: Tensor, positions: Tensor): Tensor {
    if (names.positions === undefined) return x;
    const table = weights.tensor(`${names.positions}.weight`);
    return ops.add(x, ops.gather(table, ops.add(positions, spec.offset ?? 0)));
  }

  function hidden({ weights, ids, where, recompute, tap = (_place, _layer, x) => x, observe }: Forward): Tensor {
    const project = (name: string, x: Tensor) => {
      observe?.(name, x);
      return weights.linear(name, x);
    };
    const embedded = into === undefined ? weights.embed(ids) : project(into, weights.embed(ids));
    const turn = turnAt(where, embedded.dtype);
    const turnAsked = where.only === undefined ? turn : turnAt(where.only, embedded.dtype);
    let x = tap("embedding", -1, placed(weights, embedded, where.positions));
    for (let i = 0; i < layers; i++) {
      const at = (name: string) => `${names.block}.${i}.${name}`;
      const only = i === layers - 1 ? where.only : undefined;
      const asked = (x: Tensor) => (only === undefined ? x : only.rows(x));
      const h = residual === "after" ? x : norm(weights, at(names.attentionNorm), x);
      const [query, key, value] = names.attention;
      const [q, k, v] =
        key === undefined || value === undefined
          ? separate(project(at(query), h), heads, spec.byHead === true).map((y, part) => (part === 0 ? asked(y) : y))
          : [project(at(query), asked(h)), project(at(key), h), project(at(value), h)];
      const Q = (only === undefined ? turn : turnAsked)(q as Tensor, spec.rotation, heads);
      const K = turn(k as Tensor, spec.rotation, heads);
      const attended = (only ?? where).attend(i, Q, K, v as Tensor);
      const mixed = tap("attention", i, project(at(names.output), attended));
      const feedForward = (m: Tensor) =>
        tap(
          "feedForward",
          i,
          project(at(names.down), activated(ACTIVATIONS[spec.activation], project(at(names.up), m), recompute)),
        );
      const before = asked(x);
      x = ops.add(before, mixed);
      if (residual === "after") {
        x = norm(weights, at(names.attentionNorm), x);
        x = norm(weights, at(names.feedForwardNorm), ops.add(x, feedForward(x)));
      } else {
        const read = residual === "parallel" ? before : x;
        x = ops.add(x, feedForward(norm(weights, at(names.feedForwardNorm), read)));
      }
      x = tap("block", i, x);
    }
    return finalNorm(weights, x, project);
  }

  const embedding = `${names.embedding}.weight`;
  return {
    architecture: spec.architecture,
    hiddenSize,
    vocabSize: spec.vocabSize,
    layers,
    heads,
    kvHeads: heads,
    headDim: hiddenSize / heads,
    maxPositions: spec.maxPositions,
    paddingPosition: spec.paddingPosition,
    longBeyond: spec.rotation?.long?.beyond,
    weights: shapes,
    linears,
    modules,
    embedding,
    head: names.head === undefined ? embedding : `${names.head}.weight`,
    attention: (layer) => ({ scale: spec.scale(layer) }),
    hidden,
    finalNorm,
  };
}
