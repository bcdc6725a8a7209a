import { describe, expect, test } from "vitest";
import { checkSampling, rowStream, type Sampling, sampleToken } from "./sampling.ts";

const probabilities = [0.05, 0.4, 0.1, 0.25, 0.2];
const logits = Float32Array.from(probabilities, (p) => Math.log(p) + 3);
const base: Sampling = { temperature: 1, seed: 0 };

/** Shares of the tokens when `uniform` runs evenly over [0, 1). */
function shares(sampling: Sampling, draws = 10_000): number[] {
  const counts = logits.map(() => 0);
  for (let i = 0; i < draws; i++) counts[sampleToken(logits, sampling, (i + 0.5) / draws)]!++;
  return Array.from(counts, (count) => count / draws);
}

const expectShares = (found: number[], expected: number[]) =>
  found.forEach((share, id) => {
    expect(share).toBeCloseTo(expected[id] as number, 3);
  });

describe("the distribution", () => {
  test("softmax of the logits", () => expectShares(shares(base), probabilities));

  test("temperature: probabilities to the power 1 / temperature", () => {
    const squared = probabilities.map((p) => p ** 2);
    const total = squared.reduce((a, b) => a + b);
    expectShares(
      shares({ ...base, temperature: 0.5 }),
      squared.map((p) => p / total),
    );
  });

  test("topK keeps the k likeliest", () => {
    expectShares(shares({ ...base, topK: 2 }), [0, 0.4 / 0.65, 0, 0.25 / 0.65, 0]);
    expectShares(shares({ ...base, topK: 99 }), probabilities);
  });

  test("topP keeps the fewest that reach it", () => {
    expectShares(shares({ ...base, topP: 0.66 }), [0, 0.4 / 0.85, 0, 0.25 / 0.85, 0.2 / 0.85]);
    expectShares(shares({ ...base, topP: 0.3 }), [0, 1, 0, 0, 0]);
  });

  test("topP counts the share of what topK left", () => {
    // 0.4 / 0.85 < 0.5, so two are needed of the three.
    expectShares(shares({ ...base, topK: 3, topP: 0.5 }), [0, 0.4 / 0.65, 0, 0.25 / 0.65, 0]);
  });
});

test("the filters agree with a plain sort on many logits", () => {
  const stream = rowStream(5, 0);
  const many = Float32Array.from({ length: 500 }, (_, i) => 3 * stream.normal(i));
  const sorted = Array.from(many.keys()).sort((a, b) => many[b]! - many[a]!);
  const drawn = (sampling: Sampling) =>
    new Set(Array.from({ length: 4_000 }, (_, i) => sampleToken(many, sampling, (i + 0.5) / 4_000)));
  expect(drawn({ ...base, topK: 20, temperature: 3 })).toEqual(new Set(sorted.slice(0, 20)));
  const goal = 0.8 * many.reduce((sum, logit) => sum + Math.exp(logit), 0);
  let [end, sum] = [0, 0];
  while (sum < goal) sum += Math.exp(many[sorted[end++]!]!);
  expect(drawn({ ...base, topP: 0.8 })).toEqual(new Set(sorted.slice(0, end)));
});

test("the ends of the unit interval are tokens too", () => {
  expect(sampleToken(logits, base, 0)).toBe(0);
  expect(sampleToken(logits, base, 1 - 2 ** -53)).toBe(4);
});

test.each([NaN, Infinity])("logits with %s are refused", (bad) => {
  expect(() => sampleToken(Float32Array.of(1, bad, 2), base, 0.5)).toThrow(
    expect.objectContaining({ code: "NON_FINITE_LOGITS" }),
  );
});

test.each([{ temperature: 0 }, { temperature: NaN }, { topK: 0 }, { topK: 1.5 }, { topP: 0 }, { topP: 1.1 }])(
  "%j is refused",
  (bad) => {
    expect(() => checkSampling({ ...base, ...bad })).toThrow(expect.objectContaining({ code: "SAMPLING_INVALID" }));
  },
);
