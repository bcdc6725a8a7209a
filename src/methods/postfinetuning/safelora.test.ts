import { describe, expect, test } from "vitest";
import { contextOf, expectClose, normal, randomAdapter } from "../../../test/transform-context.ts";
import { choose } from "../../choice.ts";
import { changesOf } from "../../models/adapters.ts";
import { asFloat32, multiply, normOf } from "../../tensor/matrix.ts";
import { tensor } from "../../tensor/tensor.ts";
import { TRANSFORMS } from "../registry.ts";
import { project, projectPair } from "./safelora.ts";

const SIZE = 5;
const identity = tensor(
  "float64",
  [SIZE, SIZE],
  Array.from({ length: SIZE * SIZE }, (_, i) => Number(i % (SIZE + 1) === 0)),
);
const rankTwo = multiply(normal([SIZE, 2], "left"), normal([2, 6], "right"));
const projectors = ["paper-approx", "orthogonal"] as const;

describe.each(projectors)("the projector, %s", (projector) => {
  const p = project(rankTwo, identity, projector).data;

  test("is symmetric and never negative", () => {
    for (let i = 0; i < SIZE; i++)
      for (let j = 0; j < SIZE; j++) expect(p[i * SIZE + j]).toBeCloseTo(p[j * SIZE + i] as number, 12);
    for (const seed of [1, 2, 3]) {
      const x = normal([SIZE, 1], "x", seed);
      const image = project(rankTwo, x, projector);
      expect(x.data.reduce((sum, value, i) => sum + value * (image.data[i] as number), 0)).toBeGreaterThanOrEqual(0);
    }
  });

  test("a change along a V of rank 1 has cosine 1, one across it is projected to nothing and has cosine 0", () => {
    const v = multiply(normal([SIZE, 1], "u"), normal([1, 6], "w"));
    const along = { v, a: normal([1, 6], "a"), b: normal([SIZE, 1], "u") };
    expect(projectPair(along, projector).cosine).toBe(1);
    const [u0 = 0, u1 = 0] = along.b.data;
    const across = { ...along, b: tensor("float64", [SIZE, 1], [u1, -u0, 0, 0, 0]) };
    const { cosine, projected } = projectPair(across, projector);
    expect(normOf([projected])).toBeLessThan(1e-6);
    expect(projectPair({ ...across, v: { ...v, data: v.data.map(() => 0) } }, projector).cosine).toBe(0);
    expect(cosine).toBeLessThan(1e-2);
  });
});

test("the paper's P is V V' / ||V||; the orthogonal one leaves V as it is and is its own square", () => {
  const size = normOf([rankTwo]);
  const vvt = multiply(
    rankTwo,
    tensor(
      "float64",
      [6, SIZE],
      Array.from({ length: 6 * SIZE }, (_, i) => rankTwo.data[(i % SIZE) * 6 + Math.floor(i / SIZE)] as number),
    ),
  );
  expectClose(
    project(rankTwo, identity, "paper-approx").data,
    vvt.data.map((value) => value / size),
    10,
  );
  const once = project(rankTwo, identity, "orthogonal");
  const again = project(rankTwo, once, "orthogonal");
  expectClose(again.data, once.data, 10);
  expectClose(project(rankTwo, rankTwo, "orthogonal").data, rankTwo.data, 10);
});

test("the span of a V of low rank is found among many rows", () => {
  for (const seed of [1, 2, 3, 4]) {
    const v = multiply(normal([96, 16], "left", seed), normal([16, 40], "right", seed));
    expectClose(project(v, v, "orthogonal").data, v.data, 8);
    const rest = normal([96, 1], "x", seed);
    const image = project(v, rest, "orthogonal");
    expect(normOf([image])).toBeLessThan(0.8 * normOf([rest]));
  }
});

describe("the transform", () => {
  const modules = { a: [SIZE, 6], b: [SIZE, 6], c: [SIZE, 6], d: [SIZE, 6] } as const;
  const adapter = randomAdapter(modules);
  const alignment = changesOf(randomAdapter(modules, 2));
  const context = contextOf(adapter, { alignmentChange: (module) => alignment.get(module)! });
  const apply = (options: object) => choose(TRANSFORMS, { name: "safelora", ...options }).apply(context);

  test("threshold -1 projects nothing, 1 everything; number K exactly K, those of the lowest cosine", async () => {
    expect((await apply({ select: "threshold", threshold: -1 })).adapter.tensors).toEqual(adapter.tensors);
    expect((await apply({ select: "threshold", threshold: 1 })).report.projected).toBe(4);
    const cosine = (module: string) =>
      projectPair(
        {
          v: alignment.get(module)!,
          a: adapter.tensors.get(`${module}.lora_A.weight`)!,
          b: adapter.tensors.get(`${module}.lora_B.weight`)!,
        },
        "paper-approx",
      );
    const order = Object.keys(modules).sort((x, y) => cosine(x).cosine - cosine(y).cosine);
    for (const number of [0, 1, 3, 4, 10]) {
      const { adapter: repaired, report } = await apply({ number });
      expect(report.projected).toBe(Math.min(number, 4));
      for (const [place, module] of order.entries()) {
        const b = repaired.tensors.get(`${module}.lora_B.weight`);
        const expected =
          place < number ? asFloat32(cosine(module).projected) : adapter.tensors.get(`${module}.lora_B.weight`);
        expect(b).toEqual(expected);
        expect(repaired.tensors.get(`${module}.lora_A.weight`)).toBe(adapter.tensors.get(`${module}.lora_A.weight`));
      }
    }
  });
});
