import type { GgufFile } from "../formats/gguf.ts";
import { PAIR } from "../formats/gguf-writer.ts";
import type { Model } from "./architecture.ts";
import type { GgufDescription } from "./gguf.ts";
import type { GgufKeys } from "./gguf-keys.ts";
import { LLAMA_NAMES, llamaDescription, type Relative } from "./llama-gguf.ts";
import { type RopeParameters, rotationOf } from "./rope.ts";

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
export const phi3Gguf: Omit<Relative, "write"> = {
  names: NAMES,
  parameters: FACTORS,
  rope,
  config: (_, keys) => ({ sliding_window: keys.optional("attention.sliding_window") || null }),
};

/** What of a config.json, checked and complete, its file tells of. */
interface Said {
  readonly rms_norm_eps: number;
  readonly original_max_position_embeddings: number;
  readonly rope_parameters: RopeParameters;
}

/** llama.cpp knows of Phi-3's window and does not use it, so rows end where it begins. */
export function writePhi3(model: Model, said: Said): GgufDescription {
  const original = said.original_max_position_embeddings;
  const rope = { ...said.rope_parameters, original_max_position_embeddings: original };
  const { frequencies, factor } = rotationOf(rope, model);
  const { long_factor, short_factor } = rope as Readonly<Record<string, unknown>>;
  const isLong = rope.rope_type === "longrope";
  return llamaDescription("phi3", model, {
    epsilon: said.rms_norm_eps,
    turned: 2 * frequencies.length,
    rope: {
      pairs: [
        PAIR.f32("phi3.rope.freq_base", rope.rope_theta),
        PAIR.u32("phi3.rope.scaling.original_context_length", original),
        ...(isLong ? [PAIR.f32("phi3.rope.scaling.attn_factor", factor)] : []),
      ],
      vectors: isLong ? { [FACTORS[0]]: long_factor as number[], [FACTORS[1]]: short_factor as number[] } : {},
    },
  });
}
