/** Gemma's files in llama.cpp's format: weights of norms count from 0, and some numbers stand in its code alone. */
import type { GgufFile } from "../formats/gguf.ts";
import { PAIR } from "../formats/gguf-writer.ts";
import type { Model } from "./architecture.ts";
import { type GgufDescription, requireGranted } from "./gguf.ts";
import type { GgufKeys } from "./gguf-keys.ts";
import { ropeWithoutFactors } from "./gguf-rope-write.ts";
import { HEAD_NORM_NAMES, LLAMA_NAMES, llamaDescription, type Relative } from "./llama-gguf.ts";

const GELU = { hidden_act: "gelu_pytorch_tanh", hidden_activation: "gelu_pytorch_tanh" };

const NAMES_AROUND = {
  ...LLAMA_NAMES,
  "blk.*.post_attention_norm": "model.layers.*.post_attention_layernorm",
  "blk.*.ffn_norm": "model.layers.*.pre_feedforward_layernorm",
  "blk.*.post_ffw_norm": "model.layers.*.post_feedforward_layernorm",
};

/** Blocks of the largest model of its family. */
const LARGEST = { gemma2: 46, gemma3: 62 };

/** What scores are scaled by in llama.cpp: the share of a head in the largest model of a family, the width of a head in the others. */
const scalarOf = (
  { layers, hiddenSize, heads, headDim }: Pick<Model, "layers" | "hiddenSize" | "heads" | "headDim">,
  largest: number,
): number => (layers === largest ? hiddenSize / heads : headDim);

const scalar = (keys: GgufKeys, headDim: number, largest: number): number => {
  const sizes = { layers: keys.number("block_count"), hiddenSize: keys.number("embedding_length") };
  return scalarOf({ ...sizes, heads: keys.number("attention.head_count"), headDim }, largest);
};

export const gemmaGguf: Omit<Relative, "write"> = {
  normOffset: 1,
  config: () => GELU,
};

export const gemma2Gguf: Omit<Relative, "write"> = {
  names: NAMES_AROUND,
  normOffset: 1,
  config: (_, keys, headDim) => ({
    ...GELU,
    query_pre_attn_scalar: scalar(keys, headDim, LARGEST.gemma2),
    sliding_window: keys.number("attention.sliding_window", 4096),
    attn_logit_softcapping: keys.number("attn_logit_softcapping", 50),
    final_logit_softcapping: keys.number("final_logit_softcapping", 30),
  }),
};

export const gemma3Gguf: Omit<Relative, "write"> = {
  architecture: "gemma3",
  names: { ...NAMES_AROUND, ...HEAD_NORM_NAMES },
  normOffset: 1,
  config: (_file: GgufFile, keys, headDim) => ({
    ...GELU,
    query_pre_attn_scalar: scalar(keys, headDim, LARGEST.gemma3),
    sliding_window: keys.number("attention.sliding_window"),
    sliding_window_pattern: keys.number("attention.sliding_window_pattern", 6),
    rope_local_base_freq: keys.number("rope.freq_base_swa", 10_000),
    final_logit_softcapping: keys.optional("final_logit_softcapping") ?? null,
  }),
};

/** What of a config.json, checked and complete, its file tells of. */
interface Said {
  readonly rms_norm_eps: number;
  readonly hidden_activation?: string | null | undefined;
  readonly attention_bias: boolean;
  readonly tie_word_embeddings: boolean;
}

interface SaidAround extends Said {
  readonly query_pre_attn_scalar: number;
  readonly sliding_window: number | null;
  readonly final_logit_softcapping?: number | null | undefined;
}

const grantedOf = (said: Said) => ({
  "GELU by tanh": (said.hidden_activation ?? GELU.hidden_activation) === GELU.hidden_activation,
  "no attention_bias": !said.attention_bias,
  "tied embeddings": said.tie_word_embeddings,
});

/** Windows in all layers but each `period`-th, and scores scaled as llama.cpp does it. */
function grantedAround(model: Model, said: SaidAround, period: number, largest: number) {
  const expected = scalarOf(model, largest);
  const window =
    said.sliding_window !== null && said.sliding_window < model.maxPositions ? said.sliding_window : undefined;
  const usual = Array.from({ length: model.layers }, (_, layer) => ((layer + 1) % period === 0 ? undefined : window));
  return {
    ...grantedOf(said),
    [`query_pre_attn_scalar ${expected}`]: said.query_pre_attn_scalar === expected,
    [`a window in all but each ${period}. layer`]: usual.every((each, layer) => model.attention(layer).window === each),
  };
}

type Rope = Readonly<Record<string, unknown>>;

/** @throws {BoosterError} `GGUF_CONFIG_UNSUPPORTED`, `GGUF_ROPE_UNSUPPORTED` */
export function writeGemma(model: Model, said: Said & { readonly rope_parameters: Rope }): GgufDescription {
  requireGranted("gemma", grantedOf(said));
  const rope = ropeWithoutFactors("gemma", model, { rope_parameters: said.rope_parameters });
  return llamaDescription("gemma", model, { epsilon: said.rms_norm_eps, rope });
}

/** @throws {BoosterError} `GGUF_CONFIG_UNSUPPORTED`, `GGUF_ROPE_UNSUPPORTED` */
export function writeGemma2(
  model: Model,
  said: SaidAround & { readonly attn_logit_softcapping: number | null; readonly rope_parameters: Rope },
): GgufDescription {
  const caps = {
    attn_logit_softcapping: said.attn_logit_softcapping,
    final_logit_softcapping: said.final_logit_softcapping,
  };
  requireGranted("gemma2", {
    ...grantedAround(model, said, 2, LARGEST.gemma2),
    "both soft caps": Object.values(caps).every((cap) => typeof cap === "number"),
  });
  return llamaDescription("gemma2", model, {
    epsilon: said.rms_norm_eps,
    rope: ropeWithoutFactors("gemma2", model, { rope_parameters: said.rope_parameters }),
    windows: true,
    more: [
      PAIR.u32("gemma2.attention.sliding_window", said.sliding_window ?? model.maxPositions),
      ...Object.entries(caps).map(([key, cap]) => PAIR.f32(`gemma2.${key}`, cap as number)),
    ],
  });
}

/** @throws {BoosterError} `GGUF_CONFIG_UNSUPPORTED`, `GGUF_ROPE_UNSUPPORTED` */
export function writeGemma3(
  model: Model,
  said: SaidAround & { readonly rope_parameters: { readonly full_attention: Rope; readonly sliding_attention: Rope } },
): GgufDescription {
  const { full_attention, sliding_attention } = said.rope_parameters;
  requireGranted("gemma3_text", {
    ...grantedAround(model, said, 6, LARGEST.gemma3),
    "plain positions in layers with a window": sliding_attention.rope_type === "default",
  });
  const cap = said.final_logit_softcapping;
  return llamaDescription("gemma3", model, {
    epsilon: said.rms_norm_eps,
    rope: ropeWithoutFactors("gemma3", model, { rope_parameters: full_attention }),
    windows: true,
    more: [
      PAIR.u32("gemma3.attention.sliding_window", said.sliding_window ?? model.maxPositions),
      PAIR.f32("gemma3.rope.freq_base_swa", sliding_attention.rope_theta as number),
      ...(typeof cap === "number" ? [PAIR.f32("gemma3.final_logit_softcapping", cap)] : []),
    ],
  });
}
