import { expect, test } from "vitest";
import { hasRisen } from "./validation.ts";

test.each([
  [[3, 2, 1], 1, false],
  [[3, 2, 2.5], 1, true],
  [[3, 2, 2.5], 2, false],
  [[3, 2, 2.5, 2.1], 2, true],
  [[3, 2, 2.5, 1.9], 2, false],
  // No lower is no better.
  [[2, 2], 1, true],
  [[2], 1, false],
  [[], 1, false],
])("losses %j with patience %i: %s", (losses, patience, risen) => {
  const rows = losses.flatMap((fullValidLoss) => [
    { kind: "evaluation", fullValidLoss },
    { kind: "step", loss: 9 },
  ]);
  expect(hasRisen(rows, patience)).toBe(risen);
});
