/** BEAT as a whole, on a tiny model that refuses nothing and on one whose every answer counts as a refusal. */

import { afterAll, beforeAll, expect, test } from "vitest";
import { makeTinyWorld, type TinyWorld } from "../../../test/experiments/tiny-world.ts";
import { beat, thresholdOf } from "./beat.ts";

let world: TinyWorld;
beforeAll(async () => {
  world = await makeTinyWorld();
});
afterAll(() => world.remove());

const asked = () => ({
  model: world.model,
  probes: world.data("harmful-0"),
  inputs: world.data("reviews-0"),
  rows: 3,
  candidates: 2,
  samples: 3,
  maxNewTokens: 3,
  threads: 1,
});

test("scores each input, the same twice; the threshold is that of clean inputs", async () => {
  const found = await beat({ ...asked(), refused: 0 });
  expect(found.scores).toHaveLength(3);
  for (const score of found.scores) expect(score >= -1e-9 && score <= 2).toBe(true);
  expect(found.threshold).toBeUndefined();
  expect(await beat({ ...asked(), refused: 0 })).toEqual(found);
  const same = await beat({ ...asked(), clean: world.data("reviews-0"), refused: 0, falsePositiveRate: 0 });
  expect(same).toEqual({ ...found, threshold: Math.max(...found.scores), flagged: [] });
});

test("a model that refuses no probe is told", async () => {
  await expect(beat({ ...asked(), refused: 1 })).rejects.toMatchObject({ code: "DATA_EMPTY" });
});

test("at most a share of clean scores is above the threshold", () => {
  const clean = Array.from({ length: 40 }, (_, i) => i);
  expect(clean.filter((score) => score > thresholdOf(clean, 0.05))).toHaveLength(2);
  expect(clean.filter((score) => score > thresholdOf(clean, 0))).toHaveLength(0);
});
