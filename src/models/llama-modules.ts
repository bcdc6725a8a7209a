import type { Model } from "./architecture.ts";
import type { Module, Role } from "./modules.ts";

/** Where a block may have a norm, and what it is called there. */
export interface BlockNorms {
  readonly beforeAttention?: string;
  readonly afterAttention?: string;
  readonly beforeFeedForward?: string;
  readonly afterFeedForward?: string;
}

/** What the modules of a decoder depend on. */
export interface DecoderShape {
  readonly hidden: number;
  readonly inner: number;
  readonly layers: number;
  readonly vocabulary: number;
  readonly tied: boolean;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly norms: BlockNorms;
  /** Queries and keys are normed, `each` head alone or the `whole` width. */
  readonly headNorm?: "each" | "whole";
  /** Queries, keys and values are one module, gate and up another. */
  readonly fused?: boolean;
  /** Linear layers of a block that have a bias. */
  readonly biased?: readonly string[];
}

/** Llama's: before attention and before the feed-forward half. */
export const NORMS_BEFORE: BlockNorms = {
  beforeAttention: "input_layernorm",
  beforeFeedForward: "post_attention_layernorm",
};

/** Modules, linear layers and weights of a decoder under Hugging Face's names. */
export function decoderModules(shape: DecoderShape): Pick<Model, "linears" | "modules" | "weights"> {
  const { hidden, inner, layers, vocabulary, heads, kvHeads, headDim, norms, headNorm, biased = [] } = shape;
  const [queries, keys] = [heads * headDim, kvHeads * headDim];
  const apart: readonly (readonly [Role, string, number, number])[] = [
    ["query", "self_attn.q_proj", queries, hidden],
    ["key", "self_attn.k_proj", keys, hidden],
    ["value", "self_attn.v_proj", keys, hidden],
    ["output", "self_attn.o_proj", hidden, queries],
    ["gate", "mlp.gate_proj", inner, hidden],
    ["up", "mlp.up_proj", inner, hidden],
    ["down", "mlp.down_proj", hidden, inner],
  ];
  const fused: typeof apart = [
    ["qkv", "self_attn.qkv_proj", queries + 2 * keys, hidden],
    ["output", "self_attn.o_proj", hidden, queries],
    ["gateUp", "mlp.gate_up_proj", 2 * inner, hidden],
    ["down", "mlp.down_proj", hidden, inner],
  ];
  const headNorms: readonly (readonly [string, number])[] = [
    ["self_attn.q_norm", headNorm === "each" ? headDim : queries],
    ["self_attn.k_norm", headNorm === "each" ? headDim : keys],
  ];

  const linears = new Map<string, readonly [number, number]>();
  const modules = new Map<string, Module>();
  const weights = new Map<string, readonly number[]>();
  const module = (name: string, dims: readonly number[], is: Module) => {
    modules.set(name, is);
    weights.set(`${name}.weight`, dims);
  };
  module("model.embed_tokens", [vocabulary, hidden], { role: "embedding" });
  for (let layer = 0; layer < layers; layer++) {
    const block = `model.layers.${layer}`;
    for (const [role, kind, out, width] of shape.fused ? fused : apart) {
      const name = `${block}.${kind}`;
      linears.set(name, [out, width]);
      module(name, [out, width], { role, layer });
      if (biased.includes(kind)) weights.set(`${name}.bias`, [out]);
    }
    const ofHeads = headNorm === undefined ? [] : headNorms;
    for (const [kind, width] of ofHeads) module(`${block}.${kind}`, [width], { role: "norm", layer });
    for (const kind of Object.values(norms)) module(`${block}.${kind}`, [hidden], { role: "norm", layer });
  }
  module("model.norm", [hidden], { role: "norm" });
  if (!shape.tied) module("lm_head", [vocabulary, hidden], { role: "head" });
  return { linears, modules, weights };
}
