import type { Model } from "./architecture.ts";

/** What a module is for, whatever its family calls it. `output` is attention's, `norm` any norm. */
export type Role = "embedding" | "norm" | "query" | "key" | "value" | "output" | "gate" | "up" | "down" | "head";

/** A module that has weights. */
export interface Module {
  readonly role: Role;
  /** Its block, counted from 0; absent outside of blocks. */
  readonly layer?: number;
}

/** Where a forward pass can be looked into: the embedding, a block, and its halves before they are added to the stream. */
export type Place = "embedding" | "attention" | "feedForward" | "block";

/** The module that a weight, a bias or a LoRA factor belongs to. */
export const moduleOf = (tensor: string): string => tensor.replace(/\.(?:lora_[AB]\.)?(?:weight|bias)$/, "");

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
