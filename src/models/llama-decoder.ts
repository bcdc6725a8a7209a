/** The decoder that Llama and its relatives share; a family's file says in what it differs. */
import { z } from "zod";
import { ops, product, type Tensor } from "../autodiff/index.ts";
import { BoosterError } from "../errors.ts";
import { type Activation, gated, type Rotation, silu, turnAt } from "../nn/index.ts";
import type { Forward, Model } from "./architecture.ts";
import { type ConfigKeys, parseConfig } from "./config.ts";
import { layerCount } from "./config-keys.ts";
import { type DecoderShape, decoderModules, NORMS_BEFORE } from "./llama-modules.ts";
import { ropeParameters, rotationOf } from "./rope.ts";
import type { Weights } from "./weights.ts";

const size = z.int().positive();

/** Keys of config.json that all relatives have, with Llama's defaults. */
export const DECODER_KEYS = {
  hidden_size: size,
  intermediate_size: size,
  num_hidden_layers: layerCount,
  num_attention_heads: size,
  num_key_value_heads: size.nullish(),
  head_dim: size.nullish(),
  vocab_size: size,
  rms_norm_eps: z.number().positive().default(1e-6),
  rope_parameters: ropeParameters(),
  max_position_embeddings: size.default(2048),
  tie_word_embeddings: z.boolean().default(false),
  hidden_act: z.literal("silu").default("silu"),
};

const keys = z.object(DECODER_KEYS);

export const QKV: readonly string[] = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"];

/** Linear layers with a bias, of families in which config.json says so. */
export const biasesOf = (config: {
  readonly attention_bias: boolean;
  readonly mlp_bias?: boolean;
}): readonly string[] => [
  ...(config.attention_bias ? [...QKV, "self_attn.o_proj"] : []),
  ...(config.mlp_bias === true ? ["mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"] : []),
];

/** What a family says of its decoder. */
export interface Decoder extends DecoderShape {
  readonly architecture: string;
  readonly epsilon: number;
  readonly maxPositions: number;
  /** What gate goes through; SiLU by default. */
  readonly activation?: Activation;
  /** What the embedding is multiplied by. */
  readonly embeddingScale?: number;
  /** What is added to the weights of norms. */
  readonly normOffset?: number;
  /** What scores are multiplied by; the width of a head to the power -1/2 by default. */
  readonly scale?: number;
  /** Bounds the scores. */
  readonly scoreCap?: number | undefined;
  /** Bounds the logits. */
  readonly logitCap?: number | undefined;
  /** What turns queries and keys of a layer; undefined where they stay as they are. */
  rotation(layer: number): Rotation | undefined;
  /** Tokens that a token of a layer sees; undefined where it sees all before it. */
  window(layer: number): number | undefined;
}

/**
 * Sizes as config.json states them.
 *
 * @throws {BoosterError} `MODEL_CONFIG_INVALID` when the heads do not add up
 */
export function sizesOf(config: Omit<z.output<typeof keys>, "rope_parameters" | "hidden_act">) {
  const heads = config.num_attention_heads;
  const kvHeads = config.num_key_value_heads ?? heads;
  const headDim = config.head_dim ?? config.hidden_size / heads;
  if (!Number.isInteger(headDim) || headDim % 2 !== 0 || heads % kvHeads !== 0) {
    throw new BoosterError("MODEL_CONFIG_INVALID", "the attention heads do not add up", {
      expected: "an even head size, heads a multiple of key-value heads",
      found: `hidden_size ${config.hidden_size}, num_attention_heads ${heads}, num_key_value_heads ${kvHeads}`,
      where: "config.json",
    });
  }
  return {
    hidden: config.hidden_size,
    inner: config.intermediate_size,
    layers: config.num_hidden_layers,
    vocabulary: config.vocab_size,
    tied: config.tie_word_embeddings,
    epsilon: config.rms_norm_eps,
    maxPositions: config.max_position_embeddings,
    heads,
    kvHeads,
    headDim,
  };
}

/** What a relative of Llama says of config.json: the decoder's keys, as its own schema has them. */
type DecoderConfig = Omit<z.output<typeof keys>, "hidden_act">;

/**
 * How a family's models are made that is Llama but for what `differs` says.
 *
 * @throws {BoosterError} what `parseConfig` and `sizesOf` throw
 */
export const relativeOfLlama =
  <C extends DecoderConfig>(
    family: ConfigKeys<z.ZodObject & z.ZodType<C>>,
    differs: (config: C, sizes: ReturnType<typeof sizesOf>) => Partial<Decoder>,
  ) =>
  (raw: unknown): Model => {
    const config = parseConfig(family, raw);
    const sizes = sizesOf(config);
    const rotation = rotationOf(config.rope_parameters, sizes);
    return createDecoder({
      ...sizes,
      architecture: family.name,
      norms: NORMS_BEFORE,
      rotation: () => rotation,
      window: () => undefined,
      ...differs(config, sizes),
    });
  };

/** `x + attention(norm(x))`, then `x + mlp(norm(x))`; what follows the last layer's keys and values on the selected rows alone. */
export function createDecoder(decoder: Decoder): Model {
  const { hidden, layers, heads, kvHeads, headDim, epsilon, norms, headNorm, fused = false } = decoder;
  const { activation = silu, embeddingScale = 1, normOffset = 0, scale = 1 / Math.sqrt(headDim) } = decoder;
  const listed = decoderModules(decoder);

  function forward({
    weights,
    ids,
    where,
    recompute = false,
    tap = (_place, _layer, x) => x,
    observe,
  }: Forward): Tensor {
    const project = (name: string, x: Tensor) => {
      observe?.(name, x);
      return weights.linear(name, x);
    };
    const norm = (name: string, x: Tensor) => normed(weights, name, x);
    /** Of whole queries or keys, or of each head alone. */
    const headsNormed = (name: string, x: Tensor) => {
      if (headNorm === undefined) return x;
      if (headNorm === "whole") return norm(name, x);
      const apart = ops.reshape(x, [product(x.dim(0), (x.dim(1) as number) / headDim), headDim]);
      return ops.reshape(norm(name, apart), x.shape);
    };
    let x = tap("embedding", -1, ops.mul(weights.embed(ids), embeddingScale));
    const turn = turnAt(where, x.dtype);
    for (let i = 0; i < layers; i++) {
      const block = `model.layers.${i}`;
      const only = i === layers - 1 ? where.only : undefined;
      const selected = (all: Tensor) => only?.rows(all) ?? all;
      const normAt = (place: keyof typeof norms, y: Tensor) =>
        norms[place] === undefined ? y : norm(`${block}.${norms[place]}`, y);
      const rotation = decoder.rotation(i);

      const h = normAt("beforeAttention", x);
      const joint = fused ? project(`${block}.self_attn.qkv_proj`, h) : undefined;
      const part = (name: string, given: Tensor, from: number, columns: number) =>
        joint === undefined
          ? project(`${block}.self_attn.${name}_proj`, given)
          : ops.slice(joint, 1, from * headDim, (from + columns) * headDim);
      const k = turn(headsNormed(`${block}.self_attn.k_norm`, part("k", h, heads, kvHeads)), rotation, kvHeads);
      const v = part("v", h, heads + kvHeads, kvHeads);
      const asking = joint === undefined ? part("q", selected(h), 0, heads) : selected(part("q", h, 0, heads));
      const turnAsking = only === undefined ? turn : turnAt(only, x.dtype);
      const q = turnAsking(headsNormed(`${block}.self_attn.q_norm`, asking), rotation, heads);
      const attended = (only ?? where).attend(i, q, k, v);
      const mixed = tap("attention", i, project(`${block}.self_attn.o_proj`, attended));
      x = ops.add(selected(x), normAt("afterAttention", mixed));

      const m = normAt("beforeFeedForward", x);
      const [gate, up] = fused
        ? halves(project(`${block}.mlp.gate_up_proj`, m))
        : [project(`${block}.mlp.gate_proj`, m), project(`${block}.mlp.up_proj`, m)];
      const down = tap("feedForward", i, project(`${block}.mlp.down_proj`, gated(activation, gate, up, recompute)));
      x = tap("block", i, ops.add(x, normAt("afterFeedForward", down)));
    }
    return finalNorm(weights, x);
  }

  const normed = (weights: Weights, name: string, x: Tensor) =>
    ops.rmsNorm(x, ops.add(weights.tensor(`${name}.weight`), normOffset), epsilon);
  const finalNorm = (weights: Weights, x: Tensor) => normed(weights, "model.norm", x);
  const seeing = { scale, softcap: decoder.scoreCap };
  const kinds = Array.from({ length: layers }, (_, layer) => ({ ...seeing, window: decoder.window(layer) }));
  const [longBeyond] = kinds.flatMap((_, layer) => decoder.rotation(layer)?.long?.beyond ?? []);

  return {
    architecture: decoder.architecture,
    hiddenSize: hidden,
    vocabSize: decoder.vocabulary,
    layers,
    heads,
    kvHeads,
    headDim,
    maxPositions: decoder.maxPositions,
    longBeyond,
    ...listed,
    embedding: "model.embed_tokens.weight",
    head: decoder.tied ? "model.embed_tokens.weight" : "lm_head.weight",
    softcap: decoder.logitCap,
    attention: (layer) => kinds[layer] ?? seeing,
    hidden: forward,
    finalNorm,
  };
}

function halves(x: Tensor): readonly [Tensor, Tensor] {
  const width = x.dim(1) as number;
  return [ops.slice(x, 1, 0, width / 2), ops.slice(x, 1, width / 2, width)];
}
