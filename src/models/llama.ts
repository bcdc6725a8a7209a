import { z } from "zod";
import { ops, type Tensor } from "../autodiff/index.ts";
import { BoosterError } from "../errors.ts";
import { rotaryFrequencies, rotaryTables, swiglu } from "../nn/index.ts";
import type { Architecture, Forward, Model } from "./architecture.ts";
import { parseConfig } from "./config.ts";
import { llamaLayout } from "./llama-gguf.ts";
import type { Module, Role } from "./modules.ts";
import type { Weights } from "./weights.ts";

const ropeScaling = z.union([
  z.object({
    rope_type: z.literal("llama3"),
    factor: z.number().positive(),
    low_freq_factor: z.number().positive(),
    high_freq_factor: z.number().positive(),
    original_max_position_embeddings: z.int().positive(),
  }),
  z.object({ rope_type: z.literal("default") }),
]);

const schema = z.object({
  hidden_size: z.int().positive(),
  intermediate_size: z.int().positive(),
  num_hidden_layers: z.int().positive(),
  num_attention_heads: z.int().positive(),
  num_key_value_heads: z.int().positive().optional(),
  head_dim: z.int().positive().nullish(),
  vocab_size: z.int().positive(),
  rms_norm_eps: z.number().positive().default(1e-6),
  rope_theta: z.number().positive().default(10_000),
  rope_scaling: ropeScaling.nullish(),
  max_position_embeddings: z.int().positive().default(2048),
  tie_word_embeddings: z.boolean().default(false),
  attention_bias: z.boolean().default(false),
  mlp_bias: z.boolean().default(false),
  hidden_act: z.literal("silu").default("silu"),
});

/** Attention within a window, as Qwen 2 may have it in its layers from `max_window_layers` on. */
const windowing = z.object({
  use_sliding_window: z.boolean().default(false),
  sliding_window: z.int().positive().nullable().default(4096),
  max_window_layers: z.int().min(0).default(28),
  num_hidden_layers: z.int().positive(),
  max_position_embeddings: z.int().positive().default(2048),
});

/** Windows are not computed here: refuses a model in which one would hide a token from another. */
function refuseWindows(raw: unknown, name: string): void {
  const config = parseConfig(windowing, raw, name);
  const { sliding_window: window, max_position_embeddings: positions } = config;
  const windowed = config.use_sliding_window && config.max_window_layers < config.num_hidden_layers;
  if (!windowed || window === null || window >= positions) return;
  throw new BoosterError("MODEL_CONFIG_INVALID", "attention within a sliding window cannot be computed", {
    expected: `use_sliding_window false, or a sliding_window of at least max_position_embeddings (${positions})`,
    found: `use_sliding_window true, sliding_window ${window}`,
    where: "config.json",
    hint: `For texts of at most ${window} tokens set max_position_embeddings to ${window}: the window then changes nothing.`,
  });
}

/** Differences of the families that share this forward pass. */
interface Variant {
  readonly name: string;
  /** Modules of a block that have a bias. */
  biases(config: z.infer<typeof schema>): readonly string[];
}

function createModel(variant: Variant, raw: unknown): Model {
  const config = parseConfig(schema, raw, variant.name);
  const heads = config.num_attention_heads;
  const kvHeads = config.num_key_value_heads ?? heads;
  const headDim = config.head_dim ?? config.hidden_size / heads;
  if (!Number.isInteger(headDim) || headDim % 2 !== 0 || heads % kvHeads !== 0) {
    throw new BoosterError("MODEL_CONFIG_INVALID", "the attention heads do not add up", {
      expected: "an even head size, heads a multiple of key-value heads",
      found: `hidden_size ${config.hidden_size}, num_attention_heads ${heads}, num_key_value_heads ${kvHeads}`,
    });
  }
  const { hidden_size: hidden, intermediate_size: inner, num_hidden_layers: layers, rms_norm_eps: epsilon } = config;
  const block = (i: number) => `model.layers.${i}`;
  const blockLinears: readonly (readonly [Role, string, number, number])[] = [
    ["query", "self_attn.q_proj", heads * headDim, hidden],
    ["key", "self_attn.k_proj", kvHeads * headDim, hidden],
    ["value", "self_attn.v_proj", kvHeads * headDim, hidden],
    ["output", "self_attn.o_proj", hidden, heads * headDim],
    ["gate", "mlp.gate_proj", inner, hidden],
    ["up", "mlp.up_proj", inner, hidden],
    ["down", "mlp.down_proj", hidden, inner],
  ];
  const linears = new Map<string, readonly [number, number]>();
  const modules = new Map<string, Module>();
  const weights = new Map<string, readonly number[]>();
  const module = (name: string, shape: readonly number[], is: Module) => {
    modules.set(name, is);
    weights.set(`${name}.weight`, shape);
  };
  const biased = variant.biases(config);
  module("model.embed_tokens", [config.vocab_size, hidden], { role: "embedding" });
  for (let layer = 0; layer < layers; layer++) {
    for (const [role, kind, out, width] of blockLinears) {
      const name = `${block(layer)}.${kind}`;
      linears.set(name, [out, width]);
      module(name, [out, width], { role, layer });
      if (biased.includes(kind)) weights.set(`${name}.bias`, [out]);
    }
    module(`${block(layer)}.input_layernorm`, [hidden], { role: "norm", layer });
    module(`${block(layer)}.post_attention_layernorm`, [hidden], { role: "norm", layer });
  }
  module("model.norm", [hidden], { role: "norm" });
  const tied = config.tie_word_embeddings;
  if (!tied) module("lm_head", [config.vocab_size, hidden], { role: "head" });

  const scaling = config.rope_scaling?.rope_type === "llama3" ? config.rope_scaling : undefined;
  const frequencies = rotaryFrequencies(
    headDim,
    config.rope_theta,
    scaling && {
      factor: scaling.factor,
      lowFrequencyFactor: scaling.low_freq_factor,
      highFrequencyFactor: scaling.high_freq_factor,
      originalContext: scaling.original_max_position_embeddings,
    },
  );

  /** `x + attention(norm(x))`, then `x + mlp(norm(x))`, the latter two on the selected rows alone in the last layer. */
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
    const norm = (name: string, x: Tensor) => ops.rmsNorm(x, weights.tensor(`${name}.weight`), epsilon);
    let x = tap("embedding", -1, weights.embed(ids));
    const table = rotaryTables(where.positions, frequencies, x.dtype);
    for (let i = 0; i < layers; i++) {
      const at = block(i);
      const only = i === layers - 1 ? where.only : undefined;
      const h = norm(`${at}.input_layernorm`, x);
      const k = ops.rotary(project(`${at}.self_attn.k_proj`, h), table.cos, table.sin, kvHeads);
      const v = project(`${at}.self_attn.v_proj`, h);
      const turn = only === undefined ? table : rotaryTables(only.positions, frequencies, x.dtype);
      const asking = only === undefined ? h : only.rows(h);
      const q = ops.rotary(project(`${at}.self_attn.q_proj`, asking), turn.cos, turn.sin, heads);
      const attended = (only ?? where).attend(i, q, k, v);
      const mixed = tap("attention", i, project(`${at}.self_attn.o_proj`, attended));
      x = ops.add(only === undefined ? x : only.rows(x), mixed);
      const m = norm(`${at}.post_attention_layernorm`, x);
      const activated = swiglu(project(`${at}.mlp.gate_proj`, m), project(`${at}.mlp.up_proj`, m), recompute);
      x = tap("block", i, ops.add(x, tap("feedForward", i, project(`${at}.mlp.down_proj`, activated))));
    }
    return finalNorm(weights, x);
  }

  const finalNorm = (weights: Weights, x: Tensor) => ops.rmsNorm(x, weights.tensor("model.norm.weight"), epsilon);

  return {
    architecture: variant.name,
    hiddenSize: hidden,
    vocabSize: config.vocab_size,
    layers,
    heads,
    kvHeads,
    headDim,
    maxPositions: config.max_position_embeddings,
    weights,
    linears,
    modules,
    embedding: "model.embed_tokens.weight",
    head: tied ? "model.embed_tokens.weight" : "lm_head.weight",
    attention: () => ({ scale: 1 / Math.sqrt(headDim) }),
    hidden: forward,
    finalNorm,
  };
}

/** Llama 1 to 3 and SmolLM2. Source: Hugging Face's `modeling_llama.py`. */
export const llama: Architecture = {
  name: "llama",
  gguf: llamaLayout("llama", "LlamaForCausalLM", {
    q_proj: "num_attention_heads",
    k_proj: "num_key_value_heads",
  }),
  create: (config) =>
    createModel(
      {
        name: "llama",
        biases: ({ attention_bias, mlp_bias }) => [
          ...(attention_bias ? ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj"] : []),
          ...(mlp_bias ? ["mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"] : []),
        ],
      },
      config,
    ),
};

/** Qwen 2: Llama with biases on queries, keys and values. Source: Hugging Face's `modeling_qwen2.py`. */
export const qwen2: Architecture = {
  name: "qwen2",
  gguf: llamaLayout("qwen2", "Qwen2ForCausalLM"),
  create(config) {
    refuseWindows(config, "qwen2");
    const biased = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"];
    return createModel({ name: "qwen2", biases: () => biased }, config);
  },
};
