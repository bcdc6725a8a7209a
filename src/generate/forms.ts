import { blockBits, blockParts, kernelsAreExact } from "../models/blocks.ts";
import { storedOf, widening } from "../models/storages.ts";
import { type DeviceTensors, typesOf } from "../runtime/index.ts";
import { sizeOf } from "../tensor/tensor.ts";
import type { GeneratorOptions, ProgramWeights } from "./programs.ts";

/** Weights as the programs of an engine read them. */
export interface Form extends ProgramWeights {
  /** Those that are arguments, for the time of a call. */
  weights(): Promise<DeviceTensors>;
}

/** Up to so many rows a matrix of 8 bits is read as it is stored, which takes three products; for more rows a float32 copy is faster. */
export const FEW = 8;

/** Weights are widened where this many times their size in float32 is free. */
const ROOM = 2;

/** A program, its frozen weights included, is at most 2 GB. */
const MOST_BYTES = 1.5e9;

/**
 * How weights that are stored in few bits are read. Decoding is bound by memory: matrices in groups are frozen into its program and read as they
 * are stored, those of 4 bits always, those of 8 bits where rows are few. All others are float32 copies for the time of a call, where memory has
 * room; else they are expanded at each use, which takes several times as long. The numbers are the same to rounding.
 */
export async function formsOf({
  device,
  model,
  weights,
  activations = "float32",
}: GeneratorOptions): Promise<{ readonly few: Form; readonly many: Form }> {
  const products = [...model.linears.keys()].map((module) => `${module}.weight`).concat(model.head);
  const found = (device.onHost ? products : []).flatMap((name) => {
    const stored = storedOf(weights, name);
    const bits = stored && blockBits(stored);
    return stored === undefined || bits === undefined ? [] : [{ name, stored, bits }];
  });
  const bytes = found.reduce((sum, { stored }) => sum + sizeOf(stored.codes.shape), 0);
  const canFreeze = bytes > 0 && bytes <= MOST_BYTES && (await kernelsAreExact(device));
  const form = (frozen: typeof found, isWidened: (name: string) => boolean): Form & { readonly hasRoom: boolean } => {
    const wide = widening(device, model, weights, isWidened);
    const hasRoom = wide.bytes > 0 && ROOM * wide.bytes <= process.availableMemory();
    const blocksOf = (of: typeof found) => () =>
      new Map(of.flatMap(({ name, stored }) => blockParts(name, stored, activations)));
    return {
      hasRoom,
      types: hasRoom ? wide.types : typesOf(weights),
      weights: async () => (hasRoom ? wide.widen() : weights),
      blocks: {
        decode: blocksOf(frozen),
        // Many tokens at once: what is expanded to float32 for them is expanded once.
        prefill: blocksOf(frozen.filter(({ bits }) => bits === 4 || activations === "rounded")),
      },
    };
  };
  const blocks = canFreeze ? found : [];
  const names = new Set(blocks.map(({ name }) => name));
  const few = form(blocks, (name) => !names.has(name));
  if (activations === "rounded") return { few, many: few };
  const many = form(
    blocks.filter(({ bits }) => bits === 4),
    (name) => blocks.every((block) => block.bits === 8 || block.name !== name),
  );
  return { few, many: many.hasRoom ? many : few };
}
