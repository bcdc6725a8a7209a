/** The divergence of the KL baseline, along the right axis and along the authors'. */
import { describe, expect, test } from "vitest";
import { gradients, metric, names, problem, run } from "./finetuning.ts";
import { centralDifferences, numbers, relativeError } from "./tiny-model.ts";

describe.each(["vocabulary", "time"])("softmax over the %s", (softmax) => {
  test("the whole gradient against central differences", async () => {
    const p = problem("kl", { lambda: 0.7, softmax });
    const slopes = await centralDifferences(await metric(p, "loss"), p.feeds, names);
    expect(relativeError(numbers(await run(p), gradients), slopes)).toBeLessThan(1e-7);
  });

  test("at the teacher it is 0 and has no slope", async () => {
    const [found, plain] = [
      await run(problem("kl", { lambda: 5, softmax }, { atStart: true })),
      await run(problem("kl", { lambda: 0, softmax }, { atStart: true })),
    ];
    expect(numbers(found, ["divergence"])).toEqual([0]);
    expect(relativeError(numbers(found, gradients), numbers(plain, gradients))).toBeLessThan(1e-12);
  });

  test("it is positive elsewhere", async () => {
    expect(numbers(await run(problem("kl", { softmax })), ["divergence"])[0]).toBeGreaterThan(0);
  });
});

test("the two axes are two methods", async () => {
  const [vocabulary, time] = [
    numbers(await run(problem("kl", { softmax: "vocabulary" })), ["divergence"]),
    numbers(await run(problem("kl", { softmax: "time" })), ["divergence"]),
  ];
  expect(relativeError(vocabulary, time)).toBeGreaterThan(1e-2);
});
