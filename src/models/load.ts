import { createHash } from "node:crypto";
import { createReadStream, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { BoosterError } from "../errors.ts";
import { type Adapter, type LoraConfig, readAdapter } from "../formats/peft.ts";
import type { Tokenizer } from "../formats/tokenizer.ts";
import { loadTokenizer } from "../formats/tokenizer-files.ts";
import type { Device, DeviceTensors } from "../runtime/index.ts";
import { RandomStream } from "../tensor/random.ts";
import { type HostTensor, tensor, zeros } from "../tensor/tensor.ts";
import type { Model } from "./architecture.ts";
import { mergeLora } from "./merge.ts";
import { createModel } from "./registry.ts";
import { type ModelWeights, openModel } from "./source.ts";

/** LoRA factors or weights by name. */
export type NamedWeights = ReadonlyMap<string, HostTensor<"float32">>;

/** A model that is ready to be computed with. */
export interface LoadedModel {
  readonly path: string;
  /** The content of config.json. */
  readonly config: unknown;
  readonly model: Model;
  readonly tokenizer: Tokenizer;
  readonly device: Device;
  /** All weights on the device: one copy, shared by every program. */
  readonly weights: DeviceTensors;
  /** Weights in host memory, one by one; merged ones where adapters are merged. */
  load(name: string): HostTensor<"float32">;
}

/**
 * Loads a model and puts its weights on the device.
 *
 * @throws {BoosterError} `MODEL_WEIGHTS_MISMATCH`, and what `openModel`, `createModel` and `loadTokenizer` throw
 * @example
 * const base = await loadModel("models/smollm2", new Device());
 */
export async function loadModel(path: string, device: Device): Promise<LoadedModel> {
  const { config, weights } = openModel(path);
  const model = createModel(config);
  checkWeights(model, weights, path);
  const uploaded: Record<string, DeviceTensors[string]> = {};
  // One after the other, so that host memory never holds a second copy of the whole model.
  for (const name of model.weights.keys()) uploaded[name] = await device.upload(weights.load(name));
  const load = (name: string) => weights.load(name);
  return { path, config, model, tokenizer: loadTokenizer(path), device, weights: uploaded, load };
}

function checkWeights(model: Model, weights: ModelWeights, where: string): void {
  const names = new Set(weights.names());
  for (const [name, shape] of model.weights) {
    const found = names.has(name) ? weights.shapeOf(name) : undefined;
    if (found !== undefined && `${found}` === `${shape}`) continue;
    throw new BoosterError("MODEL_WEIGHTS_MISMATCH", "the weights are not those that config.json speaks of", {
      expected: `${name} [${shape.join(", ")}]`,
      found: found === undefined ? "no such tensor" : `[${found.join(", ")}]`,
      where,
      hint: "Is the download complete, and does config.json belong to it?",
    });
  }
}

/**
 * What tells one model, or one adapter, from another: the SHA-256 of a GGUF file; of a folder that of the list of its weight, configuration,
 * tokenizer and chat template files with their hashes. Reads each file once.
 *
 * @throws {BoosterError} `FILE_NOT_FOUND`
 */
export async function modelIdentity(path: string): Promise<string> {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats === undefined) throw new BoosterError("FILE_NOT_FOUND", "there is no model here", { where: path });
  if (!stats.isDirectory()) return fileHash(path);
  const names = readdirSync(path).filter((name) =>
    /\.safetensors$|^chat_template\.jinja$|^(config|adapter_config|generation_config|tokenizer|tokenizer_config)\.json$/.test(
      name,
    ),
  );
  const list = createHash("sha256");
  for (const name of names.sort()) list.update(`${name} ${await fileHash(join(path, name))}\n`);
  return list.digest("hex");
}

async function fileHash(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path, { highWaterMark: 2 ** 20 })) hash.update(chunk as Buffer);
  return hash.digest("hex");
}

/** The factor of B A: alpha / rank, or alpha / sqrt(rank) when rank-stabilised. */
export const loraScale = ({ alpha, r, useRslora }: LoraConfig): number => alpha / (useRslora ? Math.sqrt(r) : r);

/**
 * New LoRA factors: A uniform in ±1/sqrt(in), B zero, so that the model is unchanged at first.
 * Source: PEFT's `reset_lora_parameters`, Kaiming-uniform with a = sqrt(5).
 *
 * @throws {BoosterError} `NO_TARGET_MODULES` when the model has no such layer
 * @example
 * freshLora(model, { r: 32, alpha: 4, targetModules: ["q_proj", "v_proj"], useRslora: false }, 42);
 */
export function freshLora(model: Model, { r, targetModules }: LoraConfig, seed: number): NamedWeights {
  const factors = new Map<string, HostTensor<"float32">>();
  for (const [module, [out, width]] of model.linears) {
    if (!targetModules.some((target) => module === target || module.endsWith(`.${target}`))) continue;
    const random = new RandomStream(seed, `lora/${module}`);
    const bound = 1 / Math.sqrt(width);
    const down = Float32Array.from({ length: r * width }, (_, i) => bound * (2 * random.uniform(i) - 1));
    factors.set(`${module}.lora_A.weight`, tensor("float32", [r, width], down));
    factors.set(`${module}.lora_B.weight`, zeros("float32", [out, r]));
  }
  if (factors.size > 0) return factors;
  const kinds = new Set([...model.linears.keys()].map((module) => module.split(".").at(-1)));
  throw new BoosterError("NO_TARGET_MODULES", "the model has no layer to put LoRA factors on", {
    expected: [...kinds].join(", "),
    found: targetModules.join(", "),
    where: "targetModules",
  });
}

/** A PEFT adapter, checked against the model. Throws what `readAdapter` throws. */
export const readLora = ({ model }: Pick<LoadedModel, "model">, folder: string): Adapter =>
  readAdapter(folder, model.linears);

/**
 * The model with an adapter multiplied into its weights; the other weights are shared with `base`.
 *
 * @example
 * const aligned = await mergeAdapter(base, readLora(base, "runs/aligned/adapter"));
 */
export async function mergeAdapter(base: LoadedModel, { config, tensors }: Adapter): Promise<LoadedModel> {
  const touched = [...tensors.keys()]
    .filter((name) => name.endsWith(".lora_A.weight"))
    .map((name) => name.replace("lora_A.weight", "weight"));
  const merged = mergeLora(new Map(touched.map((name) => [name, base.load(name)])), tensors, loraScale(config));
  return {
    ...base,
    weights: { ...base.weights, ...(await base.device.uploadAll(merged)) },
    load: (name) => merged.get(name) ?? base.load(name),
  };
}
