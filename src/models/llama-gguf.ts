import { BoosterError } from "../errors.ts";
import type { GgufFile } from "../formats/gguf.ts";
import type { GgufValue } from "../formats/gguf-metadata.ts";
import type { GgufLayout } from "./gguf.ts";

const LLAMA_NAMES = {
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

/** Llama and its relatives: `model_type`, the class of Hugging Face's that computes it, and what stands in another order. */
export const llamaLayout = (
  architecture: string,
  className: string,
  interleaved: GgufLayout["interleaved"] = {},
): GgufLayout => ({
  names: LLAMA_NAMES,
  interleaved,
  config: (file) => llamaConfig(file, architecture, className),
});

function llamaConfig(file: GgufFile, architecture: string, className: string): Record<string, unknown> {
  const number = reader(file, architecture);
  const hidden = number("embedding_length");
  const heads = number("attention.head_count");
  const headDim = number("attention.key_length", hidden / heads);
  if (heads < 1 || !Number.isInteger(headDim) || headDim % 2 !== 0) {
    throw metadataError(file, `${architecture}.attention.head_count`, "heads of an even number of rows", `${headDim}`);
  }
  const vocabulary = file.entries.get("token_embd.weight")?.shape[0];
  if (vocabulary === undefined) throw metadataError(file, "token_embd.weight", "the embedding", "nothing");
  return {
    model_type: architecture,
    architectures: [className],
    hidden_act: "silu",
    hidden_size: hidden,
    intermediate_size: number("feed_forward_length"),
    num_hidden_layers: number("block_count"),
    num_attention_heads: heads,
    num_key_value_heads: number("attention.head_count_kv", heads),
    head_dim: headDim,
    rms_norm_eps: shortest(number("attention.layer_norm_rms_epsilon")),
    rope_theta: shortest(number("rope.freq_base", 10_000)),
    rope_scaling: ropeScaling(file, architecture, headDim),
    max_position_embeddings: number("context_length"),
    vocab_size: vocabulary,
    tie_word_embeddings: !file.entries.has("output.weight"),
    attention_bias: file.entries.has("blk.0.attn_q.bias"),
    mlp_bias: file.entries.has("blk.0.ffn_up.bias"),
    bos_token_id: file.metadata["tokenizer.ggml.bos_token_id"] ?? null,
    eos_token_id: file.metadata["tokenizer.ggml.eos_token_id"] ?? null,
    pad_token_id: file.metadata["tokenizer.ggml.padding_token_id"] ?? null,
  };
}

/** Reads numbers below the architecture's prefix. */
function reader(file: GgufFile, architecture: string): (key: string, fallback?: number) => number {
  return (key, fallback) => {
    const name = `${architecture}.${key}`;
    const value = file.metadata[name] ?? fallback;
    if (typeof value === "number" && Number.isFinite(value) && value >= 0) return value;
    throw metadataError(file, name, "a number", describe(value));
  };
}

function ropeScaling(file: GgufFile, architecture: string, headDim: number): Record<string, unknown> | null {
  const number = reader(file, architecture);
  const rotated = number("rope.dimension_count", headDim);
  const type = file.metadata[`${architecture}.rope.scaling.type`] ?? "none";
  if (file.entries.has("rope_freqs.weight") || rotated !== headDim || (type !== "none" && type !== "linear")) {
    throw new BoosterError("GGUF_ROPE_UNSUPPORTED", "the position encoding cannot be told from the file alone", {
      expected: "plain or linearly scaled rotary positions on whole heads",
      found: `scaling ${describe(type)}, ${rotated} of ${headDim} rows rotated`,
      where: file.where,
      hint: "Use the model's Hugging Face folder",
    });
  }
  return type === "none" ? null : { rope_type: "linear", factor: shortest(number("rope.scaling.factor")) };
}

/** The shortest decimal that is the same float32: 1e-5, where the file's float32 is 0.00000999999974. */
function shortest(value: number): number {
  const target = Math.fround(value);
  for (let digits = 1; digits < 9; digits++) {
    const candidate = Number(target.toPrecision(digits));
    if (Math.fround(candidate) === target) return candidate;
  }
  return value;
}

const describe = (value: GgufValue | undefined): string => String(value).slice(0, 40);

const metadataError = (file: GgufFile, key: string, expected: string, found: string): BoosterError =>
  new BoosterError("GGUF_METADATA_INVALID", "the metadata does not describe the model", {
    expected: `${key}: ${expected}`,
    found,
    where: file.where,
  });
