import { expect, test } from "vitest";
import { createModel } from "../src/models/index.ts";
import { firstLayers } from "../src/stages/pace.ts";
import { FAMILIES, VARIANTS } from "./conformance/tiny-families.ts";

const SLIDING = ["sliding_attention", "full_attention"];

test.each([
  ...FAMILIES,
  ...VARIANTS,
  {
    name: "kinds of layers",
    config: { ...FAMILIES.find(({ name }) => name === "gemma2")?.config, layer_types: SLIDING },
  },
])("$name: a model of its first layer alone has that layer as it was", ({ config }) => {
  const whole = createModel(config);
  const first = createModel(firstLayers(config, whole.layers, 1));
  expect([whole.layers, first.layers]).toEqual([2, 1]);
  expect(first.weights.size).toBeLessThan(whole.weights.size);
  for (const [name, shape] of first.weights) expect(whole.weights.get(name), name).toEqual(shape);
  expect(first.attention(0)).toEqual(whole.attention(0));
});
