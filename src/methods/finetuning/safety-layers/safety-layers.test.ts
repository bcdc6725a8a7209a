import { describe, expect, test } from "vitest";
import { createModel } from "../../../models/index.ts";
import { RandomStream } from "../../../tensor/random.ts";
import { angleGap, initialRange, layerCosines } from "./cosines.ts";
import { betweenExclusive, frozenNames, type LayerRange, scaledNames } from "./layers.ts";
import { searchSafetyLayers } from "./search.ts";

/** Three queries after each of four layers. */
const states = (seed: number) =>
  Array.from({ length: 4 }, (_, layer) =>
    Float32Array.from({ length: 5 }, (_, i) => new RandomStream(seed, "states").normal(layer * 5 + i)),
  );

describe("cosine curves", () => {
  test("a query and itself: 1 after every layer, also when scaled", () => {
    const a = states(1);
    for (const cosine of layerCosines(a, a)) expect(cosine).toBeCloseTo(1, 12);
    for (const cosine of layerCosines(
      a,
      a.map((x) => x.map((y) => 4 * y)),
    )) {
      expect(cosine).toBeCloseTo(1, 6);
    }
  });

  test("angles by hand: 60 degrees apart against 0 and 90", () => {
    const at = (degrees: number) => [[Math.cos((degrees * Math.PI) / 180), Math.sin((degrees * Math.PI) / 180)]];
    const far = [layerCosines(at(0), at(60)), layerCosines(at(0), at(60))];
    const near = [layerCosines(at(0), at(0)), layerCosines(at(0), at(90))];
    // acos of the mean cosine, 1/2, is 60 degrees; the mean of 0 and 90 degrees is 45.
    expect(angleGap(near, far)[0]).toBeCloseTo(0, 10);
    expect(angleGap(near, far, "angles")[0]).toBeCloseTo(15, 10);
  });

  test.each([
    [
      [0, 0, 1, 8, 14, 15, 15],
      [3, 4],
    ],
    [
      [5, 5.5, 6, 8],
      [0, 0],
    ],
    [
      [0, 3, 6, 9],
      [1, 3],
    ],
  ] as const)("the gap %j opens and flattens at %j", (gap, range) => {
    expect(initialRange(gap)).toEqual(range);
  });

  test("without a gap there is no range", () => {
    for (const gap of [[0, 0, 0], [-4, -2, -3], [Number.NaN]]) {
      expect(() => initialRange(gap)).toThrow(expect.objectContaining({ code: "SAFETY_LAYERS_NOT_FOUND" }));
    }
  });
});

describe("the search", () => {
  /** Llama-2, factor 1.15, in the paper. */
  const table = new Map([
    ["9,12", 187],
    ["9,13", 227],
    ["9,14", 237],
    ["9,15", 218],
    ["9,16", 219],
    ["8,14", 263],
    ["7,14", 268],
    ["6,14", 297],
    ["5,14", 189],
    ["4,14", 202],
  ]);
  const count = async (range: LayerRange) => table.get(range.join()) ?? Number.NaN;

  test("finds the paper's layers, and asks for exactly the ranges that the paper shows", async () => {
    const found = await searchSafetyLayers({ layers: 32, initial: [9, 12], count });
    expect(found).toMatchObject({ range: [6, 14], count: 297 });
    expect(found.tried.map(({ range }) => range.join())).toEqual([...table.keys()]);
  });

  test("from the best place it also finds its way, and for small counts with the sign turned", async () => {
    const far = async ([first, last]: LayerRange) => Math.abs(first - 3) + Math.abs(last - 7);
    for (const initial of [
      [3, 7],
      [5, 9],
      [2, 6],
      [5, 5],
    ] as const) {
      const found = await searchSafetyLayers({ layers: 12, initial, extreme: "smallest", count: far });
      expect(found).toMatchObject({ range: [3, 7], count: 0 });
    }
  });

  test("stays within the model", async () => {
    const asked: LayerRange[] = [];
    const wide = async (range: LayerRange) => asked.push(range) && range[1] - range[0];
    expect(await searchSafetyLayers({ layers: 6, initial: [2, 3], count: wide })).toMatchObject({ range: [0, 5] });
    for (const [first, last] of asked) expect(first >= 0 && first <= last && last < 6).toBe(true);
  });

  test("an initial range that the model has not is an error", async () => {
    const wrong = expect.objectContaining({ code: "LAYER_RANGE_INVALID" });
    for (const initial of [
      [2, 6],
      [-1, 2],
      [3, 2],
    ] as const) {
      await expect(searchSafetyLayers({ layers: 6, initial, count })).rejects.toThrow(wrong);
    }
  });
});

describe("names", () => {
  const model = createModel({
    model_type: "qwen2",
    hidden_size: 8,
    intermediate_size: 8,
    num_hidden_layers: 12,
    num_attention_heads: 2,
    num_key_value_heads: 2,
    vocab_size: 8,
  });
  const names = [...model.weights.keys()];
  const block = (i: number) => names.filter((name) => name.startsWith(`model.layers.${i}.`));
  const matrices = (i: number) => block(i).filter((name) => /_proj\.weight$/.test(name));

  test("layers 6 to 11 are those between 5 and 12, and 1 is not 11", () => {
    expect(betweenExclusive(5, 12)).toEqual([6, 11]);
    const frozen = frozenNames(model, names, [6, 11], { freezeNorms: true });
    expect(frozen).toEqual([6, 7, 8, 9, 10, 11].flatMap(block));
    expect(frozenNames(model, names, [1, 1], { freezeNorms: true })).toEqual(block(1));
  });

  test("an empty range freezes nothing, all layers leave embedding, last norm and head", () => {
    expect(frozenNames(model, names, betweenExclusive(2, 3), { freezeNorms: true })).toEqual([]);
    const frozen = new Set(frozenNames(model, names, [0, 11], { freezeNorms: true }));
    expect(names.filter((name) => !frozen.has(name))).toEqual([
      "model.embed_tokens.weight",
      "model.norm.weight",
      "lm_head.weight",
    ]);
  });

  test("without norms they go on training, as in the authors' code", () => {
    const rest = block(3).filter((name) => !frozenNames(model, names, [3, 3], { freezeNorms: false }).includes(name));
    expect(rest).toEqual(["model.layers.3.input_layernorm.weight", "model.layers.3.post_attention_layernorm.weight"]);
  });

  test("LoRA factors of the layers are frozen with them", () => {
    const factor = "model.layers.3.self_attn.q_proj.lora_B.weight";
    expect(frozenNames(model, [factor], [3, 3], { freezeNorms: false })).toEqual([factor]);
  });

  test("scaling takes the seven matrices, or six without the output projection", () => {
    expect(scaledNames(model, [3, 3], { scaleOProj: true })).toEqual(matrices(3));
    expect(matrices(3)).toHaveLength(7);
    expect(scaledNames(model, [3, 3], { scaleOProj: false })).toEqual(
      matrices(3).filter((name) => !name.includes("o_proj")),
    );
  });
});
