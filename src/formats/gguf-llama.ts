import { BoosterError } from "../errors.ts";
import type { HostTensor } from "../tensor/tensor.ts";
import type { GgufFile, GgufValue } from "./gguf.ts";

/** Parts of a layer: GGUF's name after `blk.N.`, Hugging Face's after `model.layers.N.`. */
const LAYER_NAMES: Readonly<Record<string, string>> = {
  attn_norm: "input_layernorm",
  attn_q: "self_attn.q_proj",
  attn_k: "self_attn.k_proj",
  attn_v: "self_attn.v_proj",
  attn_output: "self_attn.o_proj",
  ffn_norm: "post_attention_layernorm",
  ffn_gate: "mlp.gate_proj",
  ffn_up: "mlp.up_proj",
  ffn_down: "mlp.down_proj",
};

const TOP_NAMES: Readonly<Record<string, string>> = {
  token_embd: "model.embed_tokens",
  output_norm: "model.norm",
  output: "lm_head",
};

/**
 * The Hugging Face name of a GGUF tensor of a Llama-like model; undefined when there is none.
 *
 * @example
 * huggingFaceName("blk.0.attn_q.weight"); // "model.layers.0.self_attn.q_proj.weight"
 */
export function huggingFaceName(name: string): string | undefined {
  const [, layer, part, kind] = /^(?:blk\.(\d+)\.)?(\w+)\.(weight|bias)$/.exec(name) ?? [];
  if (part === undefined) return undefined;
  const table = layer === undefined ? TOP_NAMES : LAYER_NAMES;
  const module = Object.hasOwn(table, part) ? table[part] : undefined;
  if (module === undefined) return undefined;
  return layer === undefined ? `${module}.${kind}` : `model.layers.${layer}.${module}.${kind}`;
}

/**
 * Undoes the row order that llama.cpp's converter gives to the query and key projections of `llama` models.
 *
 * llama.cpp rotates neighbouring rows (2i, 2i+1) of a head, Hugging Face rows (i, i + d/2); with d rows a head
 *
 *     huggingFace[h d + c d/2 + i] = gguf[h d + 2 i + c],   c in {0, 1},  i in 0 .. d/2 - 1
 *
 * Works on weights [heads d, hidden] and biases [heads d]. Source: `LlamaModel.permute` in `convert_hf_to_gguf.py`.
 *
 * @throws {BoosterError} `GGUF_SHAPE_INVALID` when the rows are not `heads` times an even number.
 * @example
 * undoRotaryPermutation(tensor("float32", [4, 1], [0, 1, 2, 3]), 1).data; // [0, 2, 1, 3]
 */
export function undoRotaryPermutation(tensor: HostTensor<"float32">, heads: number): HostTensor<"float32"> {
  const [rows = 0, columns = 1] = tensor.shape;
  const headRows = rows / heads;
  const half = headRows / 2;
  if (!Number.isInteger(half)) {
    throw new BoosterError("GGUF_SHAPE_INVALID", "a rotary projection does not divide into heads", {
      expected: `${heads} heads of an even number of rows`,
      found: `${rows} rows`,
    });
  }
  const data = new Float32Array(tensor.data.length);
  for (let row = 0; row < rows; row++) {
    const head = Math.floor(row / headRows);
    const within = row % headRows;
    const from = head * headRows + 2 * (within % half) + Math.floor(within / half);
    data.set(tensor.data.subarray(from * columns, (from + 1) * columns), row * columns);
  }
  return { dtype: "float32", shape: tensor.shape, data };
}

/**
 * The Hugging Face `config.json` that describes a GGUF file of architecture `llama` or `qwen2`.
 *
 * @throws {BoosterError} `GGUF_ARCHITECTURE_UNSUPPORTED`, `GGUF_METADATA_INVALID` (a key is missing or of the wrong kind),
 *   `GGUF_ROPE_UNSUPPORTED` (a position encoding that the metadata does not describe completely).
 * @example
 * hfConfigFromGguf(openGguf("model.gguf")); // { model_type: "llama", hidden_size: 576, ... }
 */
export function hfConfigFromGguf(file: GgufFile): Record<string, unknown> {
  const architecture = file.metadata["general.architecture"];
  if (architecture !== "llama" && architecture !== "qwen2") {
    throw new BoosterError("GGUF_ARCHITECTURE_UNSUPPORTED", "GGUF files of this architecture are not read", {
      expected: "llama or qwen2",
      found: String(architecture).slice(0, 40),
      where: file.where,
      hint: "Use the model's Hugging Face folder",
    });
  }
  const number = reader(file, architecture);
  const hidden = number("embedding_length");
  const heads = number("attention.head_count");
  const headDim = number("attention.key_length", hidden / heads);
  if (heads < 1 || !Number.isInteger(headDim) || headDim % 2 !== 0) {
    throw metadataError(file, `${architecture}.attention.head_count`, "heads of an even number of rows", `${headDim}`);
  }
  const vocabulary = file.tensors.get("token_embd.weight")?.shape[0];
  if (vocabulary === undefined) throw metadataError(file, "token_embd.weight", "the embedding", "nothing");
  return {
    model_type: architecture,
    architectures: [architecture === "llama" ? "LlamaForCausalLM" : "Qwen2ForCausalLM"],
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
    tie_word_embeddings: !file.tensors.has("output.weight"),
    attention_bias: file.tensors.has("blk.0.attn_q.bias"),
    mlp_bias: file.tensors.has("blk.0.ffn_up.bias"),
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
  if (file.tensors.has("rope_freqs.weight") || rotated !== headDim || (type !== "none" && type !== "linear")) {
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
