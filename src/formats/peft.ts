import { basename, join } from "node:path";
import { BoosterError } from "../errors.ts";
import type { HostTensor } from "../tensor/tensor.ts";
import { makeFolder, writeFileAtomic } from "./atomic-file.ts";
import { readSmallFile } from "./byte-source.ts";
import { assertFinite } from "./finite.ts";
import { type AdapterConfig, adapterConfigJson, type LoraConfig, parseAdapterConfig } from "./peft-config.ts";
import { openSafetensors, writeSafetensors } from "./safetensors.ts";
import { decodeStrictJson } from "./strict-json.ts";

export type { AdapterConfig, LoraConfig } from "./peft-config.ts";

const CONFIG = "adapter_config.json";
const TENSORS = "adapter_model.safetensors";
const CARD = "README.md";
/** Every key in the file begins with it: PEFT's wrapper around the model. */
const PREFIX = "base_model.model.";
/** Real ones have one kilobyte; a long list of module names is allowed for. */
const MAX_CONFIG_BYTES = 1_000_000;
/** Names listed in a message before it only counts. */
const MAX_LISTED = 10;

/** LoRA tensors by name, e.g. `model.layers.0.self_attn.q_proj.lora_A.weight` [r, in] and `...lora_B.weight` [out, r]. */
export type AdapterTensors = ReadonlyMap<string, HostTensor<"float32">>;

/** Weight shapes [out, in] of the base model's linear modules, by module name. */
export type ModuleShapes = ReadonlyMap<string, readonly [out: number, inputs: number]>;

/** An adapter in memory. */
export interface Adapter {
  readonly config: AdapterConfig;
  readonly tensors: AdapterTensors;
}

/**
 * Reads a PEFT LoRA adapter: a folder with `adapter_config.json` and `adapter_model.safetensors`.
 *
 * With the base model's modules given, exactly the tensors of those that `target_modules` names must be there, in the right
 * shapes. Without them, both halves of each module must be there and agree in rank.
 *
 * @throws {BoosterError} `ADAPTER_KEYS_MISMATCH` listing missing and unexpected tensors, `ADAPTER_SHAPE_MISMATCH`,
 *   `ADAPTER_DTYPE_UNSUPPORTED`, `NON_FINITE_WEIGHT`, and the codes of `parseAdapterConfig`, `openSafetensors` and `parseStrictJson`.
 * @example
 * const { config, tensors } = readAdapter("runs/aligned/adapter");
 */
export function readAdapter(folder: string, expectedModules?: ModuleShapes): Adapter {
  const config = readAdapterConfig(folder);
  const file = openSafetensors(join(folder, TENSORS));
  const foreign = [...file.entries.keys()].filter((key) => !key.startsWith(PREFIX));
  const names = [...file.entries.keys()].filter((key) => key.startsWith(PREFIX)).map((key) => key.slice(PREFIX.length));
  // Shapes come from the header, so a hostile file is refused before its data is read.
  const shapes = new Map(names.map((name) => [name, file.entries.get(PREFIX + name)?.shape ?? []]));
  checkAdapter(config, shapes, foreign, expectedModules, file.where);
  const tensors = new Map<string, HostTensor<"float32">>();
  for (const name of names.sort()) {
    const { dtype, shape, data } = file.load(PREFIX + name);
    if (dtype !== "float32") {
      throw new BoosterError("ADAPTER_DTYPE_UNSUPPORTED", "a LoRA tensor has the wrong type", {
        expected: "F32, F16 or BF16",
        found: dtype,
        where: `${file.where}: tensor ${name}`,
      });
    }
    const weight: HostTensor<"float32"> = { dtype, shape, data: data as Float32Array };
    assertFinite(name, weight, file.where);
    tensors.set(name, weight);
  }
  return { config, tensors };
}

/** The configuration of an adapter on disk. Throws as `readAdapter`. */
export function readAdapterConfig(folder: string): AdapterConfig {
  const path = join(folder, CONFIG);
  return parseAdapterConfig(decodeStrictJson(readSmallFile(path, MAX_CONFIG_BYTES), path), path);
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
  { baseModel, parent }: { readonly baseModel: string; readonly parent?: string | undefined },
): void {
  const full: AdapterConfig = { ...config, dropout: 0, baseModel, parent };
  checkAdapter(full, new Map([...tensors].map(([name, { shape }]) => [name, shape])), [], undefined, folder);
  for (const [name, weight] of tensors) assertFinite(name, weight, folder);
  makeFolder(folder);
  writeSafetensors(join(folder, TENSORS), new Map([...tensors].map(([name, weight]) => [PREFIX + name, weight])), {
    format: "pt",
  });
  writeFileAtomic(join(folder, CARD), [
    Buffer.from(parent === undefined ? modelCard(baseModel) : deltaCard(baseModel, parent)),
  ]);
  writeFileAtomic(join(folder, CONFIG), [Buffer.from(`${JSON.stringify(adapterConfigJson(full), null, 2)}\n`)]);
}

/** Keys as they should be, then shapes. `foreign`: keys without PEFT's prefix. */
function checkAdapter(
  config: LoraConfig,
  shapes: ReadonlyMap<string, readonly number[]>,
  foreign: readonly string[],
  modules: ModuleShapes | undefined,
  where: string,
): void {
  const targets = (module: string): boolean =>
    config.targetModules.some((target) => module === target || module.endsWith(`.${target}`));
  const candidates = modules === undefined ? modulesOf(shapes) : [...modules.keys()];
  const expected = new Set(
    candidates.filter(targets).flatMap((module) => [`${module}.lora_A.weight`, `${module}.lora_B.weight`]),
  );
  const missing = [...expected].filter((name) => !shapes.has(name));
  const unexpected = [...foreign, ...[...shapes.keys()].filter((name) => !expected.has(name))];
  if (missing.length > 0 || unexpected.length > 0 || expected.size === 0) {
    throw new BoosterError("ADAPTER_KEYS_MISMATCH", "the adapter's tensors do not fit its modules", {
      expected: `lora_A and lora_B of each module that ends in ${config.targetModules.slice(0, MAX_LISTED).join(", ")}`,
      found: `missing: ${list(missing)}; unexpected: ${list(unexpected)}`,
      where,
      hint: "Is it an adapter of this base model?",
    });
  }
  for (const [name, shape] of shapes) {
    const module = name.slice(0, -".lora_A.weight".length);
    const isA = name.endsWith(".lora_A.weight");
    const [out, inputs] = modules?.get(module) ?? [undefined, undefined];
    const wanted = isA ? [config.r, inputs] : [out, config.r];
    if (shape.length === 2 && wanted.every((dim, axis) => dim === undefined || dim === shape[axis])) continue;
    throw new BoosterError("ADAPTER_SHAPE_MISMATCH", "a LoRA tensor has the wrong shape", {
      expected: `[${wanted.map((dim) => dim ?? "any").join(", ")}]`,
      found: `[${shape.join(", ")}]`,
      where: `${where}: tensor ${name}`,
    });
  }
}

/** The modules that an adapter's own tensors speak of. */
function modulesOf(shapes: ReadonlyMap<string, unknown>): string[] {
  const modules = [...shapes.keys()].map((name) => /^(.+)\.lora_[AB]\.weight$/.exec(name)?.[1]);
  return [...new Set(modules.filter((module) => module !== undefined))];
}

function list(names: readonly string[]): string {
  if (names.length === 0) return "none";
  const shown = names.slice(0, MAX_LISTED).join(", ");
  return names.length > MAX_LISTED ? `${shown} and ${names.length - MAX_LISTED} more` : shown;
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
