import type { Model } from "./architecture.ts";

/**
 * What a module is for, whatever its family calls it. `output` is attention's, `norm` any norm; `qkv` stands for queries, keys and values
 * in one module, `gateUp` for gate and up; `positions` is an embedding of places, `resize` leads from one width of states to another.
 */
export type Role =
  | "embedding"
  | "positions"
  | "resize"
  | "norm"
  | "query"
  | "key"
  | "value"
  | "qkv"
  | "output"
  | "gate"
  | "up"
  | "gateUp"
  | "down"
  | "head";

/** A module that has weights. */
export interface Module {
  readonly role: Role;
  /** Its block, counted from 0; absent outside of blocks. */
  readonly layer?: number;
}

/** Where a forward pass can be looked into: the embedding, a block, and its halves before they are added to the stream. */
export type Place = "embedding" | "attention" | "feedForward" | "block";

/** The module that a weight, a bias or a LoRA factor belongs to. */
export const moduleOf = (tensor: string): string =>
  tensor.replace(/\.(?:(?:lora_[AB]\.)?(?:weight|bias)|lora_embedding_[AB]|lora_magnitude_vector)$/, "");

/** Role and layer of the module that a tensor belongs to; of a strange name neither. */
export const partOf = ({ modules }: Pick<Model, "modules">, tensor: string): Partial<Module> =>
  modules.get(moduleOf(tensor)) ?? {};

/** Names of each block's modules by their roles. */
export function blocksOf({ modules, layers }: Pick<Model, "modules" | "layers">): Partial<Record<Role, string>>[] {
  const blocks = Array.from({ length: layers }, (): Partial<Record<Role, string>> => ({}));
  for (const [name, { role, layer }] of modules) {
    if (layer !== undefined) Object.assign(blocks[layer] as object, { [role]: name });
  }
  return blocks;
}

/** What asks for the projections of queries, keys and values. */
const SEPARATE = ["q_proj", "k_proj", "v_proj"];

/** PEFT's word for every linear layer but the head. */
export const ALL_LINEAR = "all-linear";

/**
 * The names of linear layers that are asked for. `all-linear` means each of the model's. Where queries, keys and values are one module, `q_proj`, `k_proj` and `v_proj` together
 * mean that one.
 *
 * @example
 * targetsOf(createModel({ model_type: "gpt2" }), ["q_proj", "k_proj", "v_proj"]); // ["c_attn"]
 */
export function targetsOf(
  { modules, linears }: Pick<Model, "modules" | "linears">,
  asked: readonly string[],
): readonly string[] {
  if (asked.includes(ALL_LINEAR)) {
    return [...new Set([...linears.keys()].map((module) => module.split(".").at(-1) as string))];
  }
  const fused = [...modules].find(([, { role }]) => role === "qkv")?.[0];
  if (fused === undefined || !SEPARATE.every((name) => asked.includes(name))) return asked;
  return [fused.split(".").at(-1) as string, ...asked.filter((name) => !SEPARATE.includes(name))];
}
