/** Refusal-direction ablation on matrices, and drift, safety layers and ablation on a model. */

import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { makeTinyWorld, type TinyWorld } from "../../../test/experiments/tiny-world.ts";
import { RandomStream } from "../../tensor/random.ts";
import { tensor } from "../../tensor/tensor.ts";
import { ablate, withoutDirection } from "./ablate.ts";
import { drift } from "./drift.ts";
import { locateSafetyLayers } from "./locate.ts";

describe("a matrix without a direction", () => {
  const random = new RandomStream(1, "matrix");
  const direction = Array.from({ length: 6 }, (_, i) => random.normal(i));
  const matrix = (height: number, width: number) =>
    tensor(
      "float32",
      [height, width],
      Float32Array.from({ length: height * width }, (_, i) => random.normal(100 + i)),
    );

  test.each([
    ["columns", [6, 4]],
    ["rows", [4, 6]],
  ] as const)("%s have no part along it, and what is at right angles stays", (written, [height, width]) => {
    const before = matrix(height, width);
    const after = withoutDirection(before, direction, written);
    const line = ({ data }: typeof before, i: number) =>
      direction.map((_, k) => data[written === "rows" ? i * width + k : k * width + i] as number);
    const dot = (a: readonly number[], b: readonly number[]) => a.reduce((sum, x, k) => sum + x * (b[k] as number), 0);
    for (let i = 0; i < 4; i++) {
      expect(dot(line(after, i), direction)).toBeCloseTo(0, 5);
      const moved = line(after, i).map((x, k) => x - (line(before, i)[k] as number));
      const along = dot(line(before, i), direction) / dot(direction, direction);
      moved.forEach((x, k) => {
        expect(x).toBeCloseTo(-along * (direction[k] as number), 5);
      });
    }
  });
});

describe("on a model", () => {
  let world: TinyWorld;
  beforeAll(async () => {
    world = await makeTinyWorld();
  });
  afterAll(() => world.remove());
  const asked = () => ({
    model: world.model,
    harmful: world.data("harmful-0"),
    harmless: world.data("reviews-0"),
    rows: 6,
    threads: 1,
  });

  test("ablation writes a model, which has drifted; a model has not drifted from itself", async () => {
    const out = join(world.folder, "ablated");
    const made = await ablate({ ...asked(), out });
    expect(made.apart).toBeGreaterThan(0);
    expect(existsSync(join(out, "config.json"))).toBe(true);
    await expect(ablate({ ...asked(), out })).rejects.toMatchObject({ code: "RUN_EXISTS" });
    await expect(ablate({ ...asked(), out: `${out}-2`, layer: 99 })).rejects.toMatchObject({
      code: "LAYER_RANGE_INVALID",
    });
    const common = { before: world.model, data: world.data("harmful-0"), rows: 4, threads: 1 };
    const none = await drift({ ...common, model: world.model });
    expect(none).toMatchObject({ rows: 4, total: 0 });
    const some = await drift({ ...common, model: out });
    expect(some.layers.every((x) => x > 0)).toBe(true);
    expect(some.total).toBeCloseTo(4 * some.layers.reduce((a, b) => a + b, 0), 5);
  });

  test("safety layers by the command's options are those of the search", async () => {
    const given = { ...asked(), overRefusal: world.data("reviews-0"), initial: [0, 0] as [number, number], pairs: 20 };
    const found = await locateSafetyLayers(given);
    expect(found.tried.length).toBeGreaterThan(0);
    expect(found.initial).toEqual([0, 0]);
  });
});
