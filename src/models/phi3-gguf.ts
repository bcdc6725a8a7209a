import type { GgufFile } from "../formats/gguf.ts";
import type { GgufLayout } from "./gguf.ts";
import type { GgufKeys } from "./gguf-keys.ts";
import { LLAMA_NAMES, llamaLayout } from "./llama-gguf.ts";

/** What frequencies are divided by in long rows and in short ones. */
const FACTORS = ["rope_factors_long.weight", "rope_factors_short.weight"] as const;

const {
  "blk.*.attn_q": _query,
  "blk.*.attn_k": _key,
  "blk.*.attn_v": _value,
  "blk.*.ffn_gate": _gate,
  ...NAMES
} = {
  ...LLAMA_NAMES,
  "blk.*.attn_qkv": "model.layers.*.self_attn.qkv_proj",
  "blk.*.ffn_up": "model.layers.*.mlp.gate_up_proj",
};

function rope(file: GgufFile, keys: GgufKeys, headDim: number) {
  const context = keys.number("context_length");
  const original = keys.number("rope.scaling.original_context_length", context);
  const factor = keys.optional("rope.scaling.attn_factor");
  const isLong = file.entries.has(FACTORS[0]);
  if (!isLong) keys.fixed("rope.scaling.attn_factor", 1);
  const [long, short] = FACTORS.map((name) => (isLong ? [...file.load(name).data] : []));
  return {
    rope_theta: keys.number("rope.freq_base", 10_000),
    partial_rotary_factor: keys.number("rope.dimension_count", headDim) / headDim,
    original_max_position_embeddings: original,
    rope_scaling: isLong
      ? {
          rope_type: "longrope",
          long_factor: long,
          short_factor: short,
          ...(factor === undefined ? {} : { attention_factor: factor }),
        }
      : null,
  };
}

/** Phi-3's files in llama.cpp's format. */
export const phi3Gguf: GgufLayout = llamaLayout("phi3", "Phi3ForCausalLM", {
  write: undefined,
  names: NAMES,
  parameters: FACTORS,
  rope,
  config: (_, keys) => ({ sliding_window: keys.optional("attention.sliding_window") || null }),
});
