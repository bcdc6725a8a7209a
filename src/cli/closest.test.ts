import { expect, test } from "vitest";
import { closest, didYouMean, editDistance } from "./closest.ts";

test("the distance counts insertions, deletions, substitutions and exchanges of neighbours", () => {
  expect(editDistance("kitten", "sitting")).toBe(3);
  expect(editDistance("", "abc")).toBe(3);
  expect(editDistance("same", "same")).toBe(0);
  expect(editDistance("modle", "model")).toBe(1);
  expect(editDistance("ca", "abc")).toBe(3);
});

test("a slip has a closest name, another word has none", () => {
  const names = ["lambda", "alpha", "learningRate"];
  expect(closest("lamda", names)).toBe("lambda");
  expect(closest("learning_rate", names)).toBe("learningRate");
  expect(closest("temperature", names)).toBeUndefined();
  expect(didYouMean("temperature", names)).toBe("Known are: lambda, alpha, learningRate");
});
