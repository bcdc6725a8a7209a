/** Checkpoints of llama2.c: Llama in one file of float32, as the TinyStories models are published. */
import { BoosterError } from "../errors.ts";
import type { ByteSource } from "../formats/byte-source.ts";
import { type StoredTensor, tensorFile } from "../formats/tensor-file.ts";
import { type HostTensor, sizeOf } from "../tensor/tensor.ts";
import { translateRows } from "./gguf.ts";
import type { OpenedModel } from "./stored-weights.ts";
import { weightsOf } from "./stored-weights.ts";

/** "ak42" backwards: what files of version 1 and later begin with. */
const MAGIC = 0x616b3432;
const NEW_HEADER_BYTES = 256;
const OLD_HEADER_BYTES = 28;
/** Beyond any model of this kind. */
const MAX_SIZE = 2 ** 20;
const MAX_LAYERS = 1_000;

/** The numbers of the header. */
interface Sizes {
  readonly hidden: number;
  readonly inner: number;
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly vocabulary: number;
  readonly context: number;
  readonly tied: boolean;
  /** Where the weights begin. */
  readonly start: number;
  readonly isOld: boolean;
}

/** Whether a file may be such a checkpoint: its first numbers are sizes of a model. */
export const isLlama2c = (source: ByteSource): boolean => readSizes(source) !== undefined;

function readSizes(source: ByteSource): Sizes | undefined {
  const head = Buffer.alloc(Math.min(NEW_HEADER_BYTES, source.size));
  if (head.length < OLD_HEADER_BYTES) return undefined;
  source.readInto(0, head);
  const isOld = head.readUInt32LE(0) !== MAGIC;
  if (!isOld && head.length < NEW_HEADER_BYTES) return undefined;
  const at = isOld ? 0 : 8;
  const [hidden = 0, inner = 0, layers = 0, heads = 0, kvHeads = 0, told = 0, context = 0] = Array.from(
    { length: 7 },
    (_, i) => head.readInt32LE(at + 4 * i),
  );
  if (!isOld && head.readInt32LE(4) !== 1) {
    throw new BoosterError("LLAMA2C_INVALID", "this version of llama2.c's checkpoints is not read", {
      expected: "version 0 or 1, which are float32",
      found: `version ${head.readInt32LE(4)}`,
      where: source.where,
    });
  }
  // The oldest files say by the sign that the head is a matrix of its own.
  const vocabulary = isOld ? Math.abs(told) : told;
  const tied = isOld ? told > 0 : head.readUInt8(36) === 1;
  const all = [hidden, inner, layers, heads, kvHeads, vocabulary, context];
  const fits =
    all.every((size) => size > 0 && size <= MAX_SIZE) &&
    layers <= MAX_LAYERS &&
    hidden % (2 * heads) === 0 &&
    heads % kvHeads === 0;
  const start = isOld ? OLD_HEADER_BYTES : NEW_HEADER_BYTES;
  return fits ? { hidden, inner, layers, heads, kvHeads, vocabulary, context, tied, start, isOld } : undefined;
}

/** Names and shapes in the order of the file; a name that is undefined is passed over. */
function order(sizes: Sizes): (readonly [name: string | undefined, shape: readonly number[]])[] {
  const { hidden, inner, kvHeads, heads, isOld } = sizes;
  const width = hidden / heads;
  const keys = kvHeads * width;
  const each = (module: string, ...shape: number[]) =>
    Array.from({ length: sizes.layers }, (_, i) => [`model.layers.${i}.${module}.weight`, shape] as const);
  const embedding = ["model.embed_tokens.weight", [sizes.vocabulary, hidden]] as const;
  const norms = [each("input_layernorm", hidden), each("post_attention_layernorm", hidden)] as const;
  const last = ["model.norm.weight", [hidden]] as const;
  const attention = [
    ...each("self_attn.q_proj", hidden, hidden),
    ...each("self_attn.k_proj", keys, hidden),
    ...each("self_attn.v_proj", keys, hidden),
    ...each("self_attn.o_proj", hidden, hidden),
  ];
  const forward = [
    ...each("mlp.gate_proj", inner, hidden),
    ...each("mlp.down_proj", hidden, inner),
    ...each("mlp.up_proj", inner, hidden),
  ];
  const head = sizes.tied ? [] : [["lm_head.weight", [sizes.vocabulary, hidden]] as const];
  if (!isOld) return [...norms[0], ...norms[1], last, embedding, ...attention, ...forward, ...head];
  // Cosines and sines, which later versions left out.
  const tables = [1, 2].map(() => [undefined, [sizes.context, width / 2]] as const);
  return [embedding, ...norms[0], ...attention, ...norms[1], ...forward, last, ...tables, ...head];
}

/**
 * The model in a checkpoint of llama2.c, versions 0 and 1. Rows of queries and keys are brought into Hugging Face's order.
 *
 *     version 0: 7 x int32 (the vocabulary negative where the head is not tied), float32 weights kind by kind
 *     version 1: "ak42", int32 1, 7 x int32, a byte (tied), zeros up to 256 bytes, weights in another order
 *
 * Source: `export.py` and `run.c` of https://github.com/karpathy/llama2.c; 1e-5 and 10 000 are fixed there.
 *
 * @throws {BoosterError} `LLAMA2C_INVALID` for other versions, and for a file that is shorter or longer than its header says
 */
export function openLlama2c(source: ByteSource): OpenedModel {
  const sizes = readSizes(source);
  const entries = new Map<string, StoredTensor>();
  let at = sizes?.start ?? 0;
  for (const [name, shape] of sizes === undefined ? [] : order(sizes)) {
    const end = at + 4 * sizeOf(shape);
    if (name !== undefined) entries.set(name, { format: "F32", shape, begin: at, end });
    at = end;
  }
  if (sizes === undefined || at !== source.size) {
    throw new BoosterError("LLAMA2C_INVALID", "the file is no whole checkpoint of llama2.c", {
      expected: `${at} bytes, as its header says`,
      found: `${source.size}`,
      where: source.where,
      hint: "Download or copy it again",
    });
  }
  const file = tensorFile(source, entries);
  const load = (name: string) => {
    const weight = file.load(name) as HostTensor<"float32">;
    const heads = /q_proj/.test(name) ? sizes.heads : /k_proj/.test(name) ? sizes.kvHeads : undefined;
    return heads === undefined ? weight : translateRows("toHuggingFace", weight, heads);
  };
  const stored = [...entries].map(
    ([name, { shape }]) =>
      [name, { shape, where: source.where, load: () => load(name), keep: () => undefined }] as const,
  );
  return { config: configOf(sizes), weights: weightsOf(new Map(stored), source.where) };
}

const configOf = (sizes: Sizes): Readonly<Record<string, unknown>> => ({
  model_type: "llama",
  architectures: ["LlamaForCausalLM"],
  hidden_act: "silu",
  hidden_size: sizes.hidden,
  intermediate_size: sizes.inner,
  num_hidden_layers: sizes.layers,
  num_attention_heads: sizes.heads,
  num_key_value_heads: sizes.kvHeads,
  rms_norm_eps: 1e-5,
  rope_theta: 10_000,
  max_position_embeddings: sizes.context,
  vocab_size: sizes.vocabulary,
  tie_word_embeddings: sizes.tied,
  bos_token_id: 1,
  eos_token_id: 2,
});
