import { existsSync } from "node:fs";
import { join } from "node:path";
import { BoosterError } from "../errors.ts";
import { readSmallFile } from "../formats/byte-source.ts";
import { assertFinite } from "../formats/finite.ts";
import type { GgufFile } from "../formats/gguf.ts";
import type { GgufValue } from "../formats/gguf-metadata.ts";
import type { SafetensorsFile } from "../formats/safetensors.ts";
import { openSafetensorsFolder } from "../formats/safetensors-folder.ts";
import { decodeStrictJson, isObject } from "../formats/strict-json.ts";
import { mapParts, type Stored, surelyFinite } from "../tensor/stored.ts";
import type { DType, HostTensor } from "../tensor/tensor.ts";
import { type GgufLayout, translateName, translateWeight } from "./gguf.ts";
import { standsTransposed, transposed } from "./orientation.ts";
import { ARCHITECTURES } from "./registry.ts";

/** Real ones have a few kilobytes. */
const MAX_CONFIG_BYTES = 1_000_000;

/** The weights of a model under their Hugging Face names, loaded one by one. */
export interface ModelWeights {
  /** As the file has them. */
  names(): readonly string[];
  /** Whether there is such a weight, be it under another name that means the same. */
  has(name: string): boolean;
  /** Row-major. @throws {BoosterError} `TENSOR_NOT_FOUND`. */
  shapeOf(name: string): readonly number[];
  /** @throws {BoosterError} `TENSOR_NOT_FOUND`, `NON_FINITE_WEIGHT`, `WEIGHT_NOT_FLOAT`, `FILE_CHANGED`. */
  load(name: string): HostTensor<"float32">;
  /** A matrix in the form that it has on disk; undefined where that is float32 or wider. Throws what `load` throws. */
  keep(name: string): Stored | undefined;
}

/** A model on disk: what it is (`config`, the content of config.json) and its weights. */
export interface OpenedModel {
  readonly config: unknown;
  readonly weights: ModelWeights;
}

/**
 * What the model in a folder is, without its weights; undefined where there is no config.json.
 *
 * @throws {BoosterError} what `readSmallFile` and `parseStrictJson` throw
 */
export const readConfig = (folder: string): unknown =>
  existsSync(join(folder, "config.json")) ? folderConfig(folder) : undefined;

function folderConfig(folder: string): unknown {
  const path = join(folder, "config.json");
  return decodeStrictJson(readSmallFile(path, MAX_CONFIG_BYTES), path);
}

/**
 * The model in a Hugging Face folder: config.json and safetensors, in one file or in shards. Only headers are read; `weights.load` reads
 * one tensor at a time and widens it to float32.
 *
 * @throws {BoosterError} `FILE_NOT_FOUND`, `WEIGHTS_NOT_FOUND`, and the codes of `openSafetensors` and `parseStrictJson`
 */
export function openFolder(folder: string): OpenedModel {
  const config = folderConfig(folder);
  const files = openSafetensorsFolder(folder);
  const stored = [...files].map(([name, file]): [string, Unread] => {
    const { where } = file;
    const shape = file.entries.get(name)?.shape ?? [];
    const load = () => asFloat32(file.load(name), `${where}: tensor ${name}`);
    if (!standsTransposed(config, name)) return [name, { shape, load, keep: () => file.keep(name), where }];
    const keep = () => {
      const kept = file.keep(name);
      return kept && mapParts(kept, transposed);
    };
    return [name, { shape: shape.toReversed(), load: () => transposed(load()), keep, where }];
  });
  return { config, weights: weightsOf(new Map(stored), folder, otherNames(files, config)) };
}

/** An embedding, and the head that may be stored in its place where both are one. */
const EMBEDDING = /(^|\.)(embed_tokens|wte|embed_in)\.weight$/;
/** The second is GPT-NeoX's, which newer versions of Hugging Face's library call as all others. */
export const HEADS: readonly string[] = ["lm_head.weight", "embed_out.weight"];

/**
 * Names that a weight may have in the file: without the model's own prefix, as a base model without its head is saved; the one that the
 * file's metadata say it has been left out for; a tied embedding under its head's name. Sources: `save_model` of safetensors' torch.py;
 * `base_model_prefix` in transformers' modeling_utils.py.
 */
function otherNames(files: ReadonlyMap<string, SafetensorsFile>, config: unknown): (name: string) => readonly string[] {
  const kept = new Map([...new Set(files.values())].flatMap(({ metadata }) => [...metadata]));
  const isTied = isObject(config) && config.tie_word_embeddings === true;
  return (name) => {
    const alias = kept.get(name);
    return [
      name.replace(/^[^.]+\./, ""),
      ...(alias === undefined ? [] : [alias]),
      ...((isTied && EMBEDDING.test(name)) || HEADS.includes(name) ? HEADS : []),
    ];
  };
}

/**
 * The model in a GGUF file that is open; names, layout and metadata are translated to Hugging Face's.
 *
 * @throws {BoosterError} `GGUF_ARCHITECTURE_UNSUPPORTED`, `GGUF_TENSOR_UNKNOWN`, and the codes of an architecture's `gguf`
 */
export function openGgufModel(file: GgufFile): OpenedModel {
  const gguf = layoutNamed(file.metadata["general.architecture"], file.where);
  const config = gguf.config(file);
  const weights = [...file.entries].filter(([name]) => gguf.parameters?.includes(name) !== true);
  const stored = weights.map(([ggufName, { shape }]): [string, Unread] => {
    const name = translateName(gguf, "toHuggingFace", ggufName);
    if (name === undefined) {
      throw new BoosterError("GGUF_TENSOR_UNKNOWN", "the file has a tensor that the architecture has not", {
        found: ggufName,
        where: file.where,
        hint: "Use the model's Hugging Face folder",
      });
    }
    const translated = <D extends DType>(weight: HostTensor<D>) =>
      translateWeight(gguf, "toHuggingFace", config, name, weight);
    const keep = () => {
      const kept = file.keep(ggufName);
      return kept && mapParts(kept, translated);
    };
    return [name, { shape, load: () => translated(file.load(ggufName)), keep, where: file.where }];
  });
  return { config, weights: weightsOf(new Map(stored), file.where) };
}

/** @throws {BoosterError} `GGUF_ARCHITECTURE_UNSUPPORTED` */
function layoutNamed(name: GgufValue | undefined, where: string): GgufLayout {
  const found = ARCHITECTURES.find(
    (row) => row.gguf !== undefined && (row.gguf.architecture ?? row.name) === name,
  )?.gguf;
  if (found !== undefined) return found;
  throw new BoosterError("GGUF_ARCHITECTURE_UNSUPPORTED", "GGUF files of this architecture are not read", {
    expected: ARCHITECTURES.flatMap(({ name, gguf }) => (gguf === undefined ? [] : [gguf.architecture ?? name])).join(
      " or ",
    ),
    found: String(name).slice(0, 40),
    where,
    hint: "Use the model's Hugging Face folder",
  });
}

/** A tensor that has not been read yet. */
interface Unread {
  readonly shape: readonly number[];
  readonly where: string;
  load(): HostTensor<"float32">;
  keep(): Stored | undefined;
}

/** Weights that have not been read yet, as those of a model. */
export function weightsOf(
  tensors: ReadonlyMap<string, Unread>,
  where: string,
  otherNames: (name: string) => readonly string[] = () => [],
): ModelWeights {
  const find = (name: string): Unread | undefined =>
    tensors.get([name, ...otherNames(name)].find((known) => tensors.has(known)) ?? name);
  const stored = (name: string): Unread => {
    const found = find(name);
    if (found !== undefined) return found;
    throw new BoosterError("TENSOR_NOT_FOUND", "the model has no such tensor", { found: name, where });
  };
  const load = (name: string) => {
    const weight = stored(name).load();
    assertFinite(name, weight, stored(name).where);
    return weight;
  };
  return {
    names: () => [...tensors.keys()],
    has: (name) => find(name) !== undefined,
    shapeOf: (name) => stored(name).shape,
    load,
    keep(name) {
      const kept = stored(name).keep();
      // Reading it again, widened, tells which number is not finite.
      if (kept !== undefined && !surelyFinite(kept)) load(name);
      return kept;
    },
  };
}

function asFloat32(weight: HostTensor, where: string): HostTensor<"float32"> {
  const { dtype, shape, data } = weight;
  if (dtype === "float32") return { dtype, shape, data: data as Float32Array };
  if (dtype === "float64") return { dtype: "float32", shape, data: Float32Array.from(data as Float64Array) };
  throw new BoosterError("WEIGHT_NOT_FLOAT", "a weight is stored as whole numbers", { found: dtype, where });
}
