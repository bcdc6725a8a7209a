import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { BoosterError } from "../errors.ts";
import type { HostTensor } from "../tensor/tensor.ts";
import { readSmallFile } from "./byte-source.ts";
import { assertFinite } from "./finite.ts";
import { type GgufFile, type GgufValue, openGguf } from "./gguf.ts";
import { hfConfigFromGguf, huggingFaceName, undoRotaryPermutation } from "./gguf-llama.ts";
import { openSafetensorsFolder } from "./safetensors-folder.ts";
import { decodeStrictJson } from "./strict-json.ts";

/** Real ones have a few kilobytes. */
const MAX_CONFIG_BYTES = 1_000_000;

/** The weights of a model under their Hugging Face names, loaded one by one. */
export interface ModelWeights {
  names(): readonly string[];
  /** Row-major. @throws {BoosterError} `TENSOR_NOT_FOUND`. */
  shapeOf(name: string): readonly number[];
  /** @throws {BoosterError} `TENSOR_NOT_FOUND`, `NON_FINITE_WEIGHT`, `WEIGHT_NOT_FLOAT`, `FILE_CHANGED`. */
  load(name: string): HostTensor<"float32">;
}

/** A model on disk: what it is (`config`, the content of config.json) and its weights. */
export type OpenedModel = { readonly config: unknown; readonly weights: ModelWeights } & (
  | { readonly source: "hf" }
  | { readonly source: "gguf"; readonly metadata: Readonly<Record<string, GgufValue>> }
);

/**
 * Opens a Hugging Face folder (config.json and safetensors, in one file or in shards) or a `.gguf` file.
 *
 * Only headers are read; `weights.load` reads one tensor at a time and widens it to float32. A GGUF file's names, layout and
 * metadata are translated to Hugging Face's.
 *
 * @throws {BoosterError} `FILE_NOT_FOUND`, `WEIGHTS_NOT_FOUND`, and the codes of `openSafetensors`, `openGguf`,
 *   `hfConfigFromGguf` and `parseStrictJson`.
 * @example
 * const { config, weights } = openModel("models/tinystories-656k");
 * const embedding = weights.load("model.embed_tokens.weight"); // [vocabulary, hidden]
 */
export function openModel(path: string): OpenedModel {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats === undefined) {
    throw new BoosterError("FILE_NOT_FOUND", "there is no model here", {
      expected: "a Hugging Face folder or a .gguf file",
      where: path,
    });
  }
  return stats.isDirectory() ? openFolder(path) : openGgufModel(openGguf(path));
}

/**
 * What a model is, without its weights; undefined for a folder without config.json.
 *
 * @throws {BoosterError} what `openModel` throws
 */
export function readConfig(path: string): unknown {
  if (!statSync(path).isDirectory()) return hfConfigFromGguf(openGguf(path));
  return existsSync(join(path, "config.json")) ? folderConfig(path) : undefined;
}

function folderConfig(folder: string): unknown {
  const path = join(folder, "config.json");
  return decodeStrictJson(readSmallFile(path, MAX_CONFIG_BYTES), path);
}

function openFolder(folder: string): OpenedModel {
  const config = folderConfig(folder);
  const files = openSafetensorsFolder(folder);
  const ownerOf = (name: string) => files.get(name) ?? notFound(name, folder);
  return {
    source: "hf",
    config,
    weights: {
      names: () => [...files.keys()],
      shapeOf: (name) => ownerOf(name).entries.get(name)?.shape ?? notFound(name, folder),
      load(name) {
        const file = ownerOf(name);
        const weight = asFloat32(file.load(name), `${file.where}: tensor ${name}`);
        assertFinite(name, weight, file.where);
        return weight;
      },
    },
  };
}

function asFloat32(weight: HostTensor, where: string): HostTensor<"float32"> {
  const { dtype, shape, data } = weight;
  if (dtype === "float32") return { dtype, shape, data: data as Float32Array };
  if (dtype === "float64") return { dtype: "float32", shape, data: Float32Array.from(data as Float64Array) };
  throw new BoosterError("WEIGHT_NOT_FLOAT", "a weight is stored as whole numbers", { found: dtype, where });
}

function openGgufModel(file: GgufFile): OpenedModel {
  const config = hfConfigFromGguf(file);
  const ggufNames = new Map<string, string>();
  for (const name of file.tensors.keys()) {
    const translated = huggingFaceName(name);
    if (translated === undefined) {
      throw new BoosterError("GGUF_TENSOR_UNKNOWN", "the file has a tensor that the architecture has not", {
        found: name,
        where: file.where,
        hint: "Use the model's Hugging Face folder",
      });
    }
    ggufNames.set(translated, name);
  }
  const ggufName = (name: string): string => ggufNames.get(name) ?? notFound(name, file.where);
  return {
    source: "gguf",
    config,
    metadata: file.metadata,
    weights: {
      names: () => [...ggufNames.keys()],
      shapeOf: (name) => file.tensors.get(ggufName(name))?.shape ?? notFound(name, file.where),
      load(name) {
        const weight = file.load(ggufName(name));
        assertFinite(name, weight, file.where);
        const heads = permutedHeads(name, config);
        return heads === undefined ? weight : undoRotaryPermutation(weight, heads);
      },
    },
  };
}

/** Heads of a projection whose rows llama.cpp's converter has reordered; undefined for all other tensors. */
function permutedHeads(name: string, config: Readonly<Record<string, unknown>>): number | undefined {
  const [, projection] = /\.self_attn\.([qk])_proj\.(?:weight|bias)$/.exec(name) ?? [];
  if (projection === undefined || config.model_type !== "llama") return undefined;
  return config[projection === "q" ? "num_attention_heads" : "num_key_value_heads"] as number;
}

function notFound(name: string, where: string): never {
  throw new BoosterError("TENSOR_NOT_FOUND", "the model has no such tensor", { found: name, where });
}
