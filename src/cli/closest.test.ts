import { expect, test } from "vitest";
import { closest, didYouMean, editDistance } from "./closest.ts";

test("the distance counts insertions, deletions and substitutions", () => {
  expect(editDistance("kitten", "sitting")).toBe(3);
  expect(editDistance("", "abc")).toBe(3);
  expect(editDistance("same", "same")).toBe(0);
});

test("a slip has a closest name, another word has none", () => {
  const names = ["lambda", "alpha", "learningRate"];
  expect(closest("lamda", names)).toBe("lambda");
  expect(closest("learning_rate", names)).toBe("learningRate");
  expect(closest("temperature", names)).toBeUndefined();
  expect(didYouMean("temperature", names)).toBe("Known are: lambda, alpha, learningRate");
});
