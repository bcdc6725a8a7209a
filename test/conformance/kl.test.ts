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
    const at = (lambda: number) => run(problem("kl", { lambda, softmax }, { atStart: true }));
    const [found, weaker, plain] = [await at(5), await at(0.1), await at(0)];
    expect(numbers(found, ["divergence"])).toEqual([0]);
    expect(relativeError(numbers(found, gradients), numbers(weaker, gradients))).toBeLessThan(1e-12);
    // A batch's 1 / number of tokens is a float32.
    expect(relativeError(numbers(found, gradients), numbers(plain, gradients))).toBeLessThan(1e-7);
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

test("the loss that is read off all logits is that of the labelled tokens", async () => {
  const [found, plain] = [await run(problem("kl", { lambda: 1 })), await run(problem("kl", { lambda: 0 }))];
  expect(relativeError(numbers(found, ["userLoss"]), numbers(plain, ["loss"]))).toBeLessThan(1e-7);
});
