import { afterEach, describe, expect, test, vi } from "vitest";
import { createModel } from "../models/index.ts";
import { namedParts } from "../models/storages.ts";
import { Device } from "../runtime/index.ts";
import { RandomStream } from "../tensor/random.ts";
import { quantiseGroups, storedHalves, widened } from "../tensor/stored.ts";
import { type HostTensor, sizeOf, tensor } from "../tensor/tensor.ts";
import { formsOf } from "./forms.ts";
import { Generator } from "./generator.ts";

const model = createModel({
  model_type: "llama",
  hidden_size: 64,
  intermediate_size: 96,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  vocab_size: 50,
  max_position_embeddings: 128,
  tie_word_embeddings: true,
});
const device = new Device({ threads: 1 });
const random = new RandomStream(3, "forms");
let next = 0;
const host = new Map(
  [...model.weights].map(([name, shape]) => {
    const values = Array.from({ length: sizeOf(shape) }, () => (shape.length === 1 ? 1 : 0.2 * random.normal(next++)));
    return [name, tensor("float32", shape, values)] as const;
  }),
);

/** Matrices as they are stored, and the float32 that they stand for. */
function twins(bitsOf: (name: string) => 4 | 8 | 16) {
  const kept = [...host].map(([name, weight]) => {
    if (weight.shape.length === 1)
      return { wide: [name, weight] as const, stored: [[name, weight]] as [string, HostTensor][] };
    const bits = bitsOf(name);
    const stored = bits === 16 ? storedHalves("bfloat16", weight) : quantiseGroups(bits, weight, 32);
    return { wide: [name, widened(stored)] as const, stored: namedParts(name, stored) };
  });
  return { wide: kept.map(({ wide }) => wide), stored: kept.flatMap(({ stored }) => stored) };
}

const kinds = [
  ["4 bits", () => 4],
  ["8 bits", () => 8],
  ["4 bits, the embedding 8", (name: string) => (name === model.embedding ? 8 : 4)],
  ["some 8 bits, some 16", (name: string) => (/mlp/.test(name) ? 16 : 8)],
] as readonly (readonly [string, (name: string) => 4 | 8 | 16])[];

afterEach(() => void vi.restoreAllMocks());

describe.each(kinds)("%s", (_, bitsOf) => {
  const { wide, stored } = twins(bitsOf);
  const prompts = Array.from({ length: 12 }, (_, i) =>
    Array.from({ length: 1 + (i % 7) }, (_, j) => (5 * i + 3 * j) % 50),
  );

  test.each([1, 12])("%i answers are the same read as stored, widened or expanded", async (count) => {
    const answers = async (weights: Iterable<readonly [string, HostTensor]>, room: number) => {
      vi.spyOn(process, "availableMemory").mockReturnValue(room);
      const generator = await Generator.create({ device, model, weights: await device.uploadAll(weights) });
      return generator.generate(prompts.slice(0, count), { maxNewTokens: 16 });
    };
    const expected = await answers(wide, Number.MAX_SAFE_INTEGER);
    expect(await answers(stored, Number.MAX_SAFE_INTEGER)).toEqual(expected);
    expect(await answers(stored, 0)).toEqual(expected);
  });
});

test("what is frozen and what is widened: 4 bits always frozen, 8 bits where rows are few, 16 bits never", async () => {
  vi.spyOn(process, "availableMemory").mockReturnValue(Number.MAX_SAFE_INTEGER);
  const { stored } = twins((name) => (name === model.embedding ? 16 : /mlp/.test(name) ? 8 : 4));
  const { few, many } = await formsOf({ device, model, weights: await device.uploadAll(stored) });
  const matrices = (blocks: () => ReadonlyMap<string, unknown>) =>
    [...blocks().keys()].filter((name) => name.endsWith(".codes")).length;
  expect([few.blocks.decode, few.blocks.prefill, many.blocks.decode, many.blocks.prefill].map(matrices)).toEqual([
    14, 8, 8, 8,
  ]);
  const isWide = (form: typeof few, name: string) => form.types[name]?.dtype === "float32";
  expect([few, many].map((form) => isWide(form, model.embedding))).toEqual([true, true]);
  expect([few, many].map((form) => isWide(form, "model.layers.0.mlp.up_proj.weight"))).toEqual([false, true]);
  expect([few, many].map((form) => isWide(form, "model.layers.0.self_attn.q_proj.weight"))).toEqual([false, false]);
});
