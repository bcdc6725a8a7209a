import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { layerCosines } from "../../src/methods/finetuning/safety-layers/cosines.ts";
import { type LoadedModel, loadModel } from "../../src/models/index.ts";
import { Device } from "../../src/runtime/index.ts";
import { lastTokenStates } from "../../src/stages/analysis/layer-states.ts";
import { findSafetyLayers, scaleLayers } from "../../src/stages/analysis/safety-layers.ts";
import { asQuestion, loadDataSet, type Question } from "../../src/stages/data.ts";
import { makeTinyWorld, type TinyWorld } from "./tiny-world.ts";

let world: TinyWorld;
let base: LoadedModel;
let normal: Question[];
let malicious: Question[];

const questionsOf = async (name: string): Promise<Question[]> => {
  const { examples } = await loadDataSet({ path: world.data(name) });
  return examples.slice(0, 6).map((example) => asQuestion(example, { ...base, template: "chat" }));
};

beforeAll(async () => {
  world = await makeTinyWorld();
  base = await loadModel(world.model, new Device({ threads: 1 }));
  [normal, malicious] = [await questionsOf("reviews-0"), await questionsOf("harmful-0")];
});
afterAll(() => world.remove());

describe("states of the last token", () => {
  test("one for each layer; a longer prompt's differ, the same prompt's do not", async () => {
    const ids = malicious[0]?.ids ?? [];
    const [once, again, shorter] = await lastTokenStates(base, [ids, ids, ids.slice(0, -1)]);
    expect(once).toHaveLength(base.model.layers);
    for (const cosine of layerCosines(once ?? [], again ?? [])) expect(cosine).toBeCloseTo(1, 10);
    expect(layerCosines(once ?? [], shorter ?? [])[0]).toBeLessThan(0.99999);
  });
});

describe("scaled layers", () => {
  test("a factor of 1 leaves what the model computes, bit for bit; another changes what comes after its layers", async () => {
    const ids = [malicious[0]?.ids ?? []];
    const states = async (factor: number) => {
      const scaled = await scaleLayers(base, [1, 1], { factor, scaleOProj: true });
      const [found] = await lastTokenStates(scaled, ids);
      return (found ?? []).map((x) => Array.from(x));
    };
    const [plain] = await lastTokenStates(base, ids);
    const before = (plain ?? []).map((x) => Array.from(x));
    expect(await states(1)).toEqual(before);
    const changed = await states(1.5);
    expect(changed[0]).toEqual(before[0]);
    expect(changed[1]).not.toEqual(before[1]);
  });
});

describe("findSafetyLayers", () => {
  test("follows the counts that the answers give, from the given range", async () => {
    let calls = 0;
    const found = await findSafetyLayers({
      base,
      normal,
      malicious,
      overRejection: normal.slice(0, 2),
      pairs: 10,
      initial: [1, 1],
      maxNewTokens: 2,
      // Two answers a range: only the first range that is tried after the baseline is refused.
      refuses: () => Math.floor(calls++ / 2) === 1,
    });
    expect(found.gap).toHaveLength(base.model.layers);
    expect(found.gap.every(Number.isFinite)).toBe(true);
    expect(found).toMatchObject({ range: [1, 1], count: 2, baseline: 0, initial: [1, 1] });
    expect(found.tried.length).toBeGreaterThan(1);
  });
});
