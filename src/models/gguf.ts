/** How llama.cpp writes a family down, and how to tell it in Hugging Face's words: a field of the family's row. */
import { BoosterError } from "../errors.ts";
import type { GgufFile } from "../formats/gguf.ts";
import { type DType, type HostTensor, zeros } from "../tensor/tensor.ts";
import type { Model } from "./architecture.ts";

/** A family's files in llama.cpp's format. */
export interface GgufLayout {
  /** `general.architecture` of its files; the name of the family's row by default. */
  readonly architecture?: string;
  /** Modules by GGUF's name, with Hugging Face's; `*` stands for the number of a block. Each name stands once. */
  readonly names: Readonly<Record<string, string>>;
  /** Modules (Hugging Face's last part) whose rows stand in another order, and the field of config.json with their heads. */
  readonly interleaved: Readonly<Record<string, string>>;
  /** Modules whose rows stand there with all queries first, then all keys and all values, and here with the three of each head together. */
  readonly together?: Readonly<Record<string, string>>;
  /** What the weights of norms are greater by there. */
  readonly normOffset?: number;
  /** Tensors that `config` reads, which are no weights. */
  readonly parameters?: readonly string[];
  /** The config.json of a file. @throws {BoosterError} `GGUF_METADATA_INVALID`, `GGUF_ROPE_UNSUPPORTED` */
  config(file: GgufFile): Readonly<Record<string, unknown>>;
  /** The other way: keys of the architecture, and `parameters`. @throws {BoosterError} `GGUF_CONFIG_UNSUPPORTED`, `GGUF_ROPE_UNSUPPORTED` */
  write(model: Model, config: Readonly<Record<string, unknown>>): GgufDescription;
}

/** What a GGUF file says of a model beside its weights and its tokenizer. */
export interface GgufDescription {
  /** As `PAIR` encodes them. */
  readonly pairs: readonly Uint8Array[];
  /** Tensors that are no weights. */
  readonly vectors: Readonly<Record<string, readonly number[]>>;
}

/**
 * For what a family's files have no words, and llama.cpp takes for granted.
 *
 * @param granted each with whether it is so in this model
 * @throws {BoosterError} `GGUF_CONFIG_UNSUPPORTED` naming what is not so
 */
export function requireGranted(family: string, granted: Readonly<Record<string, boolean>>): void {
  const missing = Object.keys(granted).filter((what) => granted[what] === false);
  if (missing.length === 0) return;
  throw new BoosterError("GGUF_CONFIG_UNSUPPORTED", "llama.cpp's files cannot say all that this model computes", {
    expected: `${family} with ${missing.join(", ")}`,
    hint: "Export it as safetensors.",
  });
}

/** Where weights come from or go to. */
type Way = "toHuggingFace" | "toGguf";

/**
 * The name of a tensor in the other convention; undefined where the family has no such tensor.
 *
 * @example
 * translateName(llama.gguf, "toHuggingFace", "blk.0.attn_q.weight"); // "model.layers.0.self_attn.q_proj.weight"
 */
export function translateName({ names }: GgufLayout, way: Way, name: string): string | undefined {
  const [, before, block, after, kind] = /^([^*]*?)(?:\.(\d+)(\.[^*]*))?\.(weight|bias)$/.exec(name) ?? [];
  const module = block === undefined ? before : `${before}.*${after}`;
  const [from, to] = way === "toHuggingFace" ? [0, 1] : [1, 0];
  const found = Object.entries(names).find((pair) => pair[from] === module)?.[to];
  return found === undefined ? undefined : `${found.replace("*", block ?? "*")}.${kind}`;
}

/**
 * A weight with its rows in the other convention's order.
 *
 * llama.cpp rotates neighbouring rows (2i, 2i+1) of a head, Hugging Face rows (i, i + d/2); with d rows a head
 *
 *     huggingFace[h d + c d/2 + i] = gguf[h d + 2 i + c],   c in {0, 1},  i in 0 .. d/2 - 1
 *
 * Works on weights [heads d, hidden] and biases [heads d]. Source: `LlamaModel.permute` in `convert_hf_to_gguf.py`.
 *
 * @throws {BoosterError} `GGUF_SHAPE_INVALID` when the rows are not `heads` times an even number.
 * @example
 * translateRows("toHuggingFace", tensor("float32", [4, 1], [0, 1, 2, 3]), 1).data; // [0, 2, 1, 3]
 */
export function translateRows<D extends DType>(way: Way, tensor: HostTensor<D>, heads: number): HostTensor<D> {
  const [rows = 0] = tensor.shape;
  const headRows = rows / heads;
  const half = headRows / 2;
  if (!Number.isInteger(half)) {
    throw new BoosterError("GGUF_SHAPE_INVALID", "a rotary projection does not divide into heads", {
      expected: `${heads} heads of an even number of rows`,
      found: `${rows} rows`,
    });
  }
  return way === "toHuggingFace" ? swapped(tensor, heads, half, 2) : swapped(tensor, heads, 2, half);
}

/** Rows in the order of `[outer, a, b, ...]`, in that of `[outer, b, a, ...]`. */
function swapped<D extends DType>(tensor: HostTensor<D>, outer: number, a: number, b: number): HostTensor<D> {
  const result = zeros(tensor.dtype, tensor.shape);
  const [data, to] = [tensor.data, result.data] as unknown as [Float32Array, Float32Array];
  const run = data.length / (outer * a * b);
  for (let block = 0; block < outer * a * b; block++) {
    const [i, j] = [Math.floor(block / b) % a, block % b];
    const at = block - i * b - j + j * a + i;
    to.set(data.subarray(block * run, (block + 1) * run), at * run);
  }
  return result;
}

/**
 * A weight in the other convention, by its name in Hugging Face's and the model's config.json.
 *
 * @throws {BoosterError} `GGUF_SHAPE_INVALID`
 */
export function translateWeight<D extends DType>(
  { interleaved, together = {}, normOffset }: GgufLayout,
  way: Way,
  config: Readonly<Record<string, unknown>>,
  name: string,
  weight: HostTensor<D>,
): HostTensor<D> {
  const module = name.split(".").at(-2) ?? "";
  const headsOf = (fields: Readonly<Record<string, string>>) => config[fields[module] ?? ""] as number | undefined;
  const [turned, joined] = [headsOf(interleaved), headsOf(together)];
  if (turned !== undefined) return translateRows(way, weight, turned);
  if (joined !== undefined) {
    return way === "toHuggingFace" ? swapped(weight, 1, 3, joined) : swapped(weight, 1, joined, 3);
  }
  if (normOffset === undefined || !module.endsWith("norm")) return weight;
  const shift = way === "toHuggingFace" ? -normOffset : normOffset;
  return { ...weight, data: (weight.data as Float32Array).map((x) => x + shift) as typeof weight.data };
}
