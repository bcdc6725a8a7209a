import { expect, test } from "vitest";
import { BatchSampler } from "./batches.ts";

test("an epoch is every example once, with the short batch last", () => {
  const sampler = new BatchSampler(23, 5, 42, "order");
  expect(sampler.stepsPerEpoch).toBe(5);
  for (const epoch of [0, 1, 7]) {
    const batches = [0, 1, 2, 3, 4].map((step) => Array.from(sampler.batch(epoch * 5 + step)));
    expect(batches.map((batch) => batch.length)).toEqual([5, 5, 5, 5, 3]);
    expect(batches.flat().sort((a, b) => a - b)).toEqual(Array.from({ length: 23 }, (_, i) => i));
  }
});

test("a batch depends on seed, stream and step alone", () => {
  const straight = new BatchSampler(23, 5, 42, "order");
  const steps = Array.from({ length: 20 }, (_, step) => Array.from(straight.batch(step)));
  for (const step of [19, 3, 7, 0, 12]) {
    expect(Array.from(new BatchSampler(23, 5, 42, "order").batch(step))).toEqual(steps[step]);
  }
  expect(Array.from(new BatchSampler(23, 5, 43, "order").batch(0))).not.toEqual(steps[0]);
  expect(Array.from(new BatchSampler(23, 5, 42, "harmful").batch(0))).not.toEqual(steps[0]);
  expect(steps[0]).not.toEqual(steps[5]);
});

test("a batch that is changed by its user does not change the next", () => {
  const sampler = new BatchSampler(4, 4, 1, "order");
  const before = Array.from(sampler.batch(0));
  sampler.batch(0).fill(9);
  expect(Array.from(sampler.batch(0))).toEqual(before);
});

test("the paper's step numbers", () => {
  expect(new BatchSampler(4999, 10, 1, "a").stepsPerEpoch * 20).toBe(10_000);
  expect(new BatchSampler(999, 10, 1, "a").stepsPerEpoch * 20).toBe(2_000);
});

test("nothing to draw from is an error", () => {
  expect(() => new BatchSampler(0, 10, 1, "a")).toThrow(/0 examples/);
  expect(() => new BatchSampler(10, 0, 1, "a")).toThrow(/batch size 0/);
});
