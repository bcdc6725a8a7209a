import type { GgufFile } from "../formats/gguf.ts";
import { PAIR } from "../formats/gguf-writer.ts";
import type { Model } from "./architecture.ts";
import type { GgufDescription, GgufLayout } from "./gguf.ts";
import { GgufKeys } from "./gguf-keys.ts";
import { ROPE_FREQS, ropeOf } from "./gguf-rope.ts";
import { ropeDescription } from "./gguf-rope-write.ts";

/** Llama's modules. */
export const LLAMA_NAMES = {
  token_embd: "model.embed_tokens",
  output_norm: "model.norm",
  output: "lm_head",
  "blk.*.attn_norm": "model.layers.*.input_layernorm",
  "blk.*.attn_q": "model.layers.*.self_attn.q_proj",
  "blk.*.attn_k": "model.layers.*.self_attn.k_proj",
  "blk.*.attn_v": "model.layers.*.self_attn.v_proj",
  "blk.*.attn_output": "model.layers.*.self_attn.o_proj",
  "blk.*.ffn_norm": "model.layers.*.post_attention_layernorm",
  "blk.*.ffn_gate": "model.layers.*.mlp.gate_proj",
  "blk.*.ffn_up": "model.layers.*.mlp.up_proj",
  "blk.*.ffn_down": "model.layers.*.mlp.down_proj",
};

/** Norms of queries and keys. */
export const HEAD_NORM_NAMES = {
  "blk.*.attn_q_norm": "model.layers.*.self_attn.q_norm",
  "blk.*.attn_k_norm": "model.layers.*.self_attn.k_norm",
};

/** In what a relative's files differ from Llama's. */
export interface Relative extends Partial<Omit<GgufLayout, "config" | "write">>, Pick<GgufLayout, "write"> {
  /** What stands in config.json in the place of, or beside, what Llama's files say; asks `keys` for all that the file says more. */
  config?(file: GgufFile, keys: GgufKeys, headDim: number): Readonly<Record<string, unknown>>;
  /** Rotary positions; by default of whole heads. */
  rope?(file: GgufFile, keys: GgufKeys, headDim: number): Readonly<Record<string, unknown>>;
}

/** Llama and its relatives: `model_type`, and the class of Hugging Face's that computes it. */
export const llamaLayout = (type: string, className: string, own: Relative): GgufLayout => ({
  names: LLAMA_NAMES,
  interleaved: {},
  parameters: [ROPE_FREQS],
  ...own,
  config: (file) => llamaConfig(file, type, className, own),
});

/**
 * What files of Llama's own form say of a model: for families that differ in nothing that a key would tell.
 *
 * @param epsilon the family's where config.json has none
 */
export const llamaWrite =
  (architecture: string, epsilon = 1e-6): GgufLayout["write"] =>
  (model, config) =>
    llamaDescription(architecture, model, {
      epsilon: (config.rms_norm_eps as number | undefined) ?? epsilon,
      rope: ropeDescription(architecture, model, config),
    });

/** Of a relative: what stands in its files for Llama's numbers, and what more. */
interface Said {
  readonly epsilon: number;
  readonly rope: GgufDescription;
  /** Numbers of a head that turn. All by default. */
  readonly turned?: number;
  /** Whether llama.cpp knows of windows in this family. Where it does not, up to the window they change nothing. */
  readonly windows?: boolean;
  readonly more?: readonly Uint8Array[];
}

export function llamaDescription(architecture: string, model: Model, said: Said): GgufDescription {
  const [, down] = [...model.linears].find(([name]) => name.endsWith(".down_proj")) ?? [];
  const windows = Array.from(
    { length: said.windows === true ? 0 : model.layers },
    (_, layer) => model.attention(layer).window ?? model.maxPositions,
  );
  const numbers = {
    block_count: model.layers,
    context_length: Math.min(model.maxPositions, ...windows),
    embedding_length: model.hiddenSize,
    feed_forward_length: down?.[1] ?? 0,
    "attention.head_count": model.heads,
    "attention.head_count_kv": model.kvHeads,
    "attention.key_length": model.headDim,
    "attention.value_length": model.headDim,
    "rope.dimension_count": said.turned ?? model.headDim,
    vocab_size: model.vocabSize,
  };
  return {
    pairs: [
      ...Object.entries(numbers).map(([key, value]) => PAIR.u32(`${architecture}.${key}`, value)),
      PAIR.f32(`${architecture}.attention.layer_norm_rms_epsilon`, said.epsilon),
      ...said.rope.pairs,
      ...(said.more ?? []),
    ],
    vectors: said.rope.vectors,
  };
}

/** llama.cpp turns neighbouring rows in these families. */
export const INTERLEAVED = { q_proj: "num_attention_heads", k_proj: "num_key_value_heads" };

/** Whether queries, keys and values, and whether the feed-forward part, have biases. */
export const ggufBiases = ({ entries }: GgufFile) => ({
  attention_bias: entries.has("blk.0.attn_q.bias"),
  mlp_bias: entries.has("blk.0.ffn_up.bias"),
});

function wholeHeads(file: GgufFile, keys: GgufKeys, headDim: number) {
  keys.fixed("rope.dimension_count", headDim);
  return ropeOf(file, keys, headDim);
}

function llamaConfig(
  file: GgufFile,
  type: string,
  className: string,
  { architecture = type, rope = wholeHeads, config: own }: Relative,
): Record<string, unknown> {
  const keys = new GgufKeys(file, architecture);
  const hidden = keys.number("embedding_length");
  const heads = keys.number("attention.head_count");
  const headDim = keys.number("attention.key_length", hidden / heads);
  if (heads < 1 || !Number.isInteger(headDim) || headDim % 2 !== 0) {
    throw keys.invalid("attention.head_count", "heads of an even number of rows", `${headDim}`);
  }
  const vocabulary = file.entries.get("token_embd.weight")?.shape[0];
  if (vocabulary === undefined) throw keys.invalid("block_count", "a file with token_embd.weight", "no such tensor");
  keys.fixed("attention.value_length", headDim);
  keys.fixed("attention.causal", true);
  for (const experts of ["expert_count", "expert_used_count"]) keys.fixed(experts, 0);
  const config = {
    model_type: type,
    architectures: [className],
    hidden_act: "silu",
    hidden_size: hidden,
    intermediate_size: keys.number("feed_forward_length"),
    num_hidden_layers: keys.number("block_count"),
    num_attention_heads: heads,
    num_key_value_heads: keys.number("attention.head_count_kv", heads),
    head_dim: headDim,
    rms_norm_eps: keys.number("attention.layer_norm_rms_epsilon"),
    ...rope(file, keys, headDim),
    max_position_embeddings: keys.number("context_length"),
    vocab_size: vocabulary,
    tie_word_embeddings: !file.entries.has("output.weight"),
    bos_token_id: file.metadata["tokenizer.ggml.bos_token_id"] ?? null,
    eos_token_id: file.metadata["tokenizer.ggml.eos_token_id"] ?? null,
    pad_token_id: file.metadata["tokenizer.ggml.padding_token_id"] ?? null,
    ...own?.(file, keys, headDim),
  };
  keys.finish();
  return config;
}
