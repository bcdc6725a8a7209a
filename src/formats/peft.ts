import { existsSync } from "node:fs";
import { basename, join } from "node:path";
import { BoosterError } from "../errors.ts";
import type { HostTensor } from "../tensor/tensor.ts";
import { makeFolder, writeFileAtomic } from "./atomic-file.ts";
import { readSmallFile } from "./byte-source.ts";
import { assertFinite } from "./finite.ts";
import { checkTensors } from "./peft-check.ts";
import {
  type AdapterConfig,
  adapterConfigJson,
  type LoraConfig,
  loraScale,
  type PeftConfig,
  parseAdapterConfig,
} from "./peft-config.ts";
import { type AdaptedModel, headOf, type Promised, renamedFor } from "./peft-modules.ts";
import { openSafetensors, writeSafetensors } from "./safetensors.ts";
import { decodeStrictJson } from "./strict-json.ts";
import type { TensorFile } from "./tensor-file.ts";

export { type AdapterConfig, type LoraConfig, loraScale } from "./peft-config.ts";
export { type AdaptedModel, headOf } from "./peft-modules.ts";

const CONFIG = "adapter_config.json";
const TENSORS = "adapter_model.safetensors";
/** What PEFT wrote before safetensors. */
const PICKLED = "adapter_model.bin";
const CARD = "README.md";
/** Every key in the file begins with it: PEFT's wrapper around the model. */
const PREFIX = "base_model.model.";
/** Real ones have one kilobyte; a long list of module names is allowed for. */
const MAX_CONFIG_BYTES = 1_000_000;
/**
 * An adapter's tensors by name: LoRA factors (`model.layers.0.self_attn.q_proj.lora_A.weight` [r, in], `...lora_B.weight` [out, r]), what
 * stands beside them (`...lora_B.bias` and `...lora_magnitude_vector` [out], `...lora_embedding_A` [r, vocabulary],
 * `...lora_embedding_B` [hidden, r]), and whole weights and biases in place of the model's, under their names.
 */
export type AdapterTensors = ReadonlyMap<string, HostTensor<"float32">>;

/** An adapter in memory. */
export interface Adapter {
  readonly config: AdapterConfig;
  readonly tensors: AdapterTensors;
}

/**
 * Reads a PEFT LoRA adapter: a folder with `adapter_config.json` and `adapter_model.safetensors`.
 *
 * All factors get one scale, alpha / r: what a module's own differs by, through patterns, is multiplied into its B. Ranks stay.
 * With the base model given, exactly the tensors that the configuration promises must be there, in the right shapes, and, as in PEFT,
 * whole weights of the model may be. Without it, both halves of each module must be there and agree in rank.
 *
 * @throws {BoosterError} `ADAPTER_KEYS_MISMATCH` listing missing and unexpected tensors, `ADAPTER_SHAPE_MISMATCH`,
 *   `ADAPTER_DTYPE_UNSUPPORTED`, `NON_FINITE_WEIGHT`, and the codes of `parseAdapterConfig`, `promisedBy`, `openSafetensors` and
 *   `parseStrictJson`.
 * @example
 * const { config, tensors } = readAdapter("runs/aligned/adapter");
 */
export function readAdapter(folder: string, model?: AdaptedModel): Adapter {
  const config = readAdapterConfig(folder);
  if (!existsSync(join(folder, TENSORS)) && existsSync(join(folder, PICKLED))) {
    throw new BoosterError("FILE_NOT_FOUND", "the adapter's tensors are pickled, which is a program and not data", {
      expected: TENSORS,
      found: PICKLED,
      where: folder,
      hint: "Load it with PEFT and save it again: save_pretrained writes safetensors.",
    });
  }
  return adapterOf(config, openSafetensors(join(folder, TENSORS)), model);
}

/** The configuration of an adapter on disk. Throws as `readAdapter`. */
export function readAdapterConfig(folder: string): PeftConfig {
  const path = join(folder, CONFIG);
  return parseAdapterConfig(decodeStrictJson(readSmallFile(path, MAX_CONFIG_BYTES), path), path);
}

/** An adapter from its parts, as `readAdapter` gives it. Throws the same. */
export function adapterOf(
  config: PeftConfig,
  file: Pick<TensorFile, "entries" | "load" | "where">,
  model?: AdaptedModel,
): Adapter {
  const keys = new Map<string, string>();
  const foreign: string[] = [];
  for (const key of [...file.entries.keys()].sort()) {
    // Of a module with factors, PEFT calls the model's own part so.
    const name = key.slice(PREFIX.length).replace(/\.base_layer\.(weight|bias)$/, ".$1");
    if (key.startsWith(PREFIX) && !keys.has(name)) keys.set(name, key);
    else foreign.push(key);
  }
  const renamed = model && renamedFor(model, [...keys.keys()]);
  if (renamed !== undefined) {
    const { ownName, model: theirs } = renamed;
    const { config: read, tensors } = adapterOf(config, file, theirs);
    return {
      config: { ...read, targetModules: read.targetModules.map(ownName) },
      tensors: new Map([...tensors].map(([name, weight]) => [ownName(name), weight])),
    };
  }
  // Shapes come from the header, so a hostile file is refused before its data is read.
  const shapes = new Map([...keys].map(([name, key]) => [name, file.entries.get(key)?.shape ?? []]));
  const promised = checkTensors(config, shapes, { foreign, model, where: file.where });
  const tensors = new Map<string, HostTensor<"float32">>();
  for (const [name, key] of keys) {
    const { dtype, shape, data } = file.load(key);
    if (dtype !== "float32") {
      throw new BoosterError("ADAPTER_DTYPE_UNSUPPORTED", "a tensor of the adapter has the wrong type", {
        expected: "F32, F16 or BF16",
        found: dtype,
        where: `${file.where}: tensor ${name}`,
      });
    }
    const weight: HostTensor<"float32"> = { dtype, shape, data: data as Float32Array };
    assertFinite(name, weight, file.where);
    tensors.set(name, weight);
  }
  if (model !== undefined) shareTied(tensors, model, promised);
  return inOneScale(config, promised, tensors);
}

/** A weight that embedding and head share, and that was saved without being asked for, is still the weight of both. */
function shareTied(tensors: Map<string, HostTensor<"float32">>, model: AdaptedModel, { whole }: Promised): void {
  if (model.embedding !== model.head) return;
  for (const [name, other] of [
    [model.embedding, headOf(model)],
    [headOf(model), model.embedding],
  ] as const) {
    const weight = tensors.get(name);
    if (weight !== undefined && !whole.has(name) && !tensors.has(other)) tensors.set(other, weight);
  }
}

function inOneScale(config: PeftConfig, { sites }: Promised, tensors: Map<string, HostTensor<"float32">>): Adapter {
  const { r, lora_alpha: alpha, use_rslora, target_modules: targets } = config;
  const useRslora = use_rslora ?? false;
  const scales = new Set(sites.map((site) => site.scale));
  const usual = loraScale({ r, alpha, useRslora });
  const [scale = usual] = scales.size === 1 ? scales : [];
  for (const site of sites) {
    if (site.scale === scale) continue;
    for (const name of [
      `${site.module}.lora_B.weight`,
      `${site.module}.lora_B.bias`,
      `${site.module}.lora_embedding_B`,
    ]) {
      const factor = tensors.get(name);
      if (factor === undefined) continue;
      tensors.set(name, { ...factor, data: factor.data.map((value) => value * (site.scale / scale)) });
    }
  }
  const ranks = sites.map((site) => site.r);
  const asWritten = scale === usual && ranks.every((rank) => rank === r);
  const largest = ranks.reduce((most, rank) => Math.max(most, rank), 1);
  const all = [config.exclude_modules, config.layers_to_transform, config.modules_to_save].every(
    (key) => !isGiven(key),
  );
  const modules = typeof targets === "string" || !all ? sites.map(({ module }) => module) : targets;
  return {
    config: {
      ...(asWritten ? { r, alpha, useRslora } : { r: largest, alpha: scale * largest, useRslora: false }),
      targetModules: [...modules].sort(),
      dropout: config.lora_dropout ?? 0,
      baseModel: config.base_model_name_or_path || undefined,
      ...(config.parent === undefined ? {} : { parent: config.parent }),
      ...(scales.size > 1 ? { ownScales: true } : {}),
    },
    tensors,
  };
}

const isGiven = (value: unknown): boolean =>
  value !== null && value !== undefined && (typeof value === "number" || Object.keys(value).length > 0);

interface WriteOptions {
  /** Name or path of the model that it stands on. */
  readonly baseModel: string;
  /** Commit of that model, where it is a repository of the hub. */
  readonly revision?: string | undefined;
  /** What must stand below it, see `AdapterConfig`. */
  readonly parent?: string | undefined;
  /** Its README.md; by default one that says how it is loaded. */
  readonly card?: string | undefined;
}

/**
 * Writes a PEFT LoRA adapter that PEFT, and what builds on it, can load; the same bytes for the same adapter.
 *
 * The configuration is written last: a folder without it is no adapter.
 *
 * @throws {BoosterError} `NON_FINITE_WEIGHT` (a diverged adapter is never published), `ADAPTER_KEYS_MISMATCH`,
 *   `ADAPTER_SHAPE_MISMATCH`, and the codes of `writeFileAtomic`.
 * @example
 * writeAdapter("out/adapter", { r: 8, alpha: 16, targetModules: ["q_proj"], useRslora: false }, tensors, { baseModel: "org/model" });
 */
export function writeAdapter(
  folder: string,
  config: LoraConfig,
  tensors: AdapterTensors,
  { baseModel, revision, parent, card }: WriteOptions,
): void {
  const content = adapterConfigJson({ ...config, dropout: 0, baseModel, parent }, tensors, revision);
  const shapes = new Map([...tensors].map(([name, { shape }]) => [name, shape]));
  checkTensors(parseAdapterConfig(content, folder), shapes, { where: folder });
  for (const [name, weight] of tensors) assertFinite(name, weight, folder);
  makeFolder(folder);
  writeSafetensors(join(folder, TENSORS), new Map([...tensors].map(([name, weight]) => [PREFIX + name, weight])), {
    format: "pt",
  });
  writeFileAtomic(join(folder, CARD), [
    Buffer.from(parent === undefined ? (card ?? modelCard(baseModel)) : deltaCard(baseModel, parent)),
  ]);
  writeFileAtomic(join(folder, CONFIG), [Buffer.from(`${JSON.stringify(content, null, 2)}\n`)]);
}

/** What a delta says of itself, since it must not be taken for an adapter of the base. */
const deltaCard = (baseModel: string, parent: string): string => `# Part of a model

These LoRA factors were trained on top of other adapters on \`${basename(baseModel)}\`, and change what those made. On the base model alone
they are nothing, so PEFT does not load them. \`../adapter\` is the sum of all adapters, to be loaded on the base model as its card says.

Parent: ${parent} (base and adapters below, see \`../model.json\`)
`;

/** The card that the Hugging Face hub needs to show what the adapter belongs to. */
function modelCard(baseModel: string): string {
  return `---
base_model: ${JSON.stringify(baseModel)}
base_model_relation: adapter
library_name: peft
tags:
- lora
---

# LoRA adapter

A LoRA adapter for \`${basename(baseModel)}\`. Load it with PEFT's \`PeftModel.from_pretrained\`.
`;
}
