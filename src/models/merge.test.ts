import { expect, test } from "vitest";
import { tensor } from "../tensor/tensor.ts";
import { mergeLora } from "./merge.ts";

const w = tensor("float32", [2, 3], [1, 2, 3, 4, 5, 6]);
const other = tensor("float32", [1], [7]);
const a = tensor("float32", [1, 3], [1, 0, -1]);
const b = tensor("float32", [2, 1], [2, 4]);
const weights = new Map([
  ["m.weight", w],
  ["n.weight", other],
]);

test("W + scale B A; other weights are shared, the given ones stay as they are", () => {
  const merged = mergeLora(
    weights,
    new Map([
      ["m.lora_A.weight", a],
      ["m.lora_B.weight", b],
    ]),
    0.5,
  );
  expect(merged.get("m.weight")).toEqual(tensor("float32", [2, 3], [2, 2, 2, 6, 5, 4]));
  expect(merged.get("n.weight")).toBe(other);
  expect([...w.data]).toEqual([1, 2, 3, 4, 5, 6]);
});

test("a missing half or a misfit is named", () => {
  expect(() => mergeLora(weights, new Map([["m.lora_A.weight", a]]), 1)).toThrow(/m\.lora_B\.weight/);
  const flipped = new Map([
    ["m.lora_A.weight", b],
    ["m.lora_B.weight", a],
  ]);
  expect(() => mergeLora(weights, flipped, 1)).toThrow(expect.objectContaining({ code: "SHAPE_MISMATCH" }));
});
