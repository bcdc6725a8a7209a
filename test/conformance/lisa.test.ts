/** Lisa: which state a step is in, when the pull acts, what a switch stores. */

import { describe, expect, test } from "vitest";
import { choose } from "../../src/choice.ts";
import { stateAt } from "../../src/methods/finetuning/lisa.ts";
import { METHODS } from "../../src/methods/registry.ts";
import { adamW, sgd } from "../../src/optim/index.ts";
import type { HostTensor } from "../../src/tensor/tensor.ts";
import { planRun } from "../../src/train/run-facts.ts";
import { TrainingProgram } from "../../src/train/training-program.ts";
import { copyName, device, gradients, LOSS, model, names, problem, rows, run, SCALE, scalar } from "./finetuning.ts";
import { type HostTensors, loraShapes, numbers, randomTensors, relativeError } from "./tiny-model.ts";

/** The authors' two counters, written out. */
function statesByClock(steps: number, k1: number, k2: number): { state: string; switches: number }[] {
  let [state, clock, switches] = [k1 > 0 ? "alignment" : "user", 0, 0];
  return Array.from({ length: steps }, (_, step) => {
    const own = state === "alignment" ? k1 : k2;
    const other = state === "alignment" ? k2 : k1;
    if (own > 0 && clock % own === 0 && step !== 0 && other > 0) {
      state = state === "alignment" ? "user" : "alignment";
      clock = 0;
      switches++;
    }
    clock++;
    return { state, switches };
  });
}

const factsOf = (steps: number, alignment = 20) =>
  planRun({
    model,
    method: choose(METHODS, { name: "lisa" }),
    rows: { user: 12, ...(alignment === 0 ? {} : { alignment }) },
    batchSize: 4,
    seed: 1,
    steps,
    epochs: 1,
  }).facts;

const inputsOf = (options: object, step: number, steps: number) =>
  choose(METHODS, { name: "lisa", ...options })
    .schedule.calls(step, factsOf(steps))[0]
    ?.inputs?.({}) ?? {};
const pullAt = (options: object, step: number, steps: number) => inputsOf(options, step, steps).pull?.data[0];

describe("states", () => {
  test.each([
    [2, 3],
    [1, 1],
    [4, 1],
    [0, 3],
    [3, 0],
  ])("K1 %i, K2 %i: as the authors' counters say", (k1, k2) => {
    const found = Array.from({ length: 23 }, (_, step) => stateAt(step, k1, k2));
    expect(found.map(({ state, switches }) => ({ state, switches }))).toEqual(statesByClock(23, k1, k2));
    for (const state of ["alignment", "user"]) {
      const places = found.filter((at) => at.state === state).map(({ place }) => place);
      expect(places).toEqual(places.map((_, i) => i));
    }
  });

  test("alignment steps take the alignment batches one after the other", () => {
    const lisa = choose(METHODS, { name: "lisa", alignmentSteps: 2, userSteps: 3 });
    const facts = factsOf(12);
    const taken = Array.from({ length: 12 }, (_, step) => lisa.schedule.calls(step, facts)[0]?.rows?.alignment);
    expect(taken.filter((rows) => rows !== undefined)).toEqual(
      [0, 1, 2, 3, 4, 5].map((n) => facts.batch("alignment", n)),
    );
  });

  test("without alignment rows every step is the user's", () => {
    const plans = [0, 1, 5].map(
      (step) => choose(METHODS, { name: "lisa" }).schedule.calls(step, factsOf(10, 0))[0]?.program,
    );
    expect(plans).toEqual([undefined, undefined, undefined]);
  });
});

const anchorOf = (feeds: HostTensors, copy: string) =>
  numbers(
    feeds,
    names.map((name) => copyName(copy, name)),
  );
const nextOf = (copy: string) => names.map((name) => `next ${copy} ${name}`);

describe("the pull", () => {
  test("begins at once in the paper, after a tenth of the steps in the authors' code", () => {
    expect([0, 1, 2].map((step) => pullAt({ mode: "paper" }, step, 10))).toEqual([1, 1, 1]);
    expect([0, 1, 2].map((step) => pullAt({ mode: "reference" }, step, 10))).toEqual([0, 0, 1]);
  });

  const at = (switched: boolean, pull = 1, rho = 3) =>
    problem(
      "lisa",
      { rho },
      {
        inputs: { switches: scalar(switched ? 1 : 0), pull: scalar(pull) },
        memory: { switches: scalar(0) },
      },
    );

  test("is rho (w - anchor), the anchor where the alignment state ended", async () => {
    const p = at(false);
    const [found, plain] = [await run(p), await run(at(false, 0))];
    const w = numbers(p.feeds, names);
    const anchor = anchorOf(p.feeds, "alignment");
    const difference = numbers(found, gradients).map((g, i) => g - (numbers(plain, gradients)[i] as number));
    const expected = w.map((x, i) => 3 * (x - (anchor[i] as number)));
    expect(relativeError(difference, expected)).toBeLessThan(1e-12);
    const square = expected.reduce((sum, x) => sum + (x / 3) ** 2, 0);
    expect(numbers(found, ["loss"])[0]).toBeCloseTo((numbers(plain, ["loss"])[0] as number) + 1.5 * square, 10);
  });

  test("is nothing right after a switch, which stores the weights for the state that is left", async () => {
    const p = at(true);
    const [found, plain] = [await run(p), await run(at(true, 0))];
    expect(numbers(found, gradients)).toEqual(numbers(plain, gradients));
    expect(numbers(found, nextOf("alignment"))).toEqual(numbers(p.feeds, names));
    expect(numbers(await run(at(false)), nextOf("alignment"))).toEqual(anchorOf(p.feeds, "alignment"));
  });
});

describe("whole steps", () => {
  const shapes = loraShapes(model);
  const settings = { alignmentSteps: 2, userSteps: 2, rho: 1, mode: "reference" };

  /** Weights and anchors before each step and after the last. */
  async function trajectory(options: object, steps: number, method = "lisa", optimizer = adamW()) {
    const frozen = await device.uploadAll(Object.entries(randomTensors(model.weights, "float32")));
    const configured = choose(METHODS, { name: method, ...options });
    const program = await TrainingProgram.compile({
      device,
      model,
      frozen,
      adapter: { scale: SCALE, tensors: new Map(Object.entries(randomTensors(shapes, "float32", 2))) },
      method: configured,
      optimizer,
      maxGradNorm: 1,
      ...LOSS,
    });
    const facts = factsOf(steps);
    const states = [await program.save()];
    for (let step = 0; step < steps; step++) {
      const call = configured.schedule.calls(step, facts)[0] ?? {};
      await program.run({
        program: call.program ?? "step",
        batches: { user: [rows.user], alignment: [method === "sft" ? rows.user : rows.alignment] },
        learningRate: 1e-2,
        inputs: call.inputs?.({}) ?? {},
      });
      states.push(await program.save());
    }
    return (name: string, step: number) => numbers({ x: states[step]?.get(name) as HostTensor });
  }

  test("anchors are the weights at the last switches", async () => {
    const at = await trajectory(settings, 7);
    expect(at("copy alignment", 2)).toEqual(at("weights", 0));
    expect(at("copy alignment", 4)).toEqual(at("weights", 2));
    expect(at("copy user", 4)).toEqual(at("weights", 0));
    expect(at("copy user", 6)).toEqual(at("weights", 4));
    expect(at("copy alignment", 7)).toEqual(at("weights", 6));
  });

  test("K1 = 0: SFT for the first tenth of the steps, then a pull to the start", async () => {
    const [lisa, sft] = [
      await trajectory({ ...settings, alignmentSteps: 0, rho: 5 }, 20),
      await trajectory({}, 20, "sft"),
    ];
    expect(lisa("weights", 3)).toEqual(sft("weights", 3));
    expect(lisa("weights", 4)).not.toEqual(sft("weights", 4));
    const far = (of: typeof lisa) =>
      of("weights", 20).reduce((sum, x, i) => sum + (x - (of("weights", 0)[i] as number)) ** 2, 0);
    expect(far(lisa)).toBeLessThan(far(sft));
  });

  test("the stronger the pull, the smaller the drift of a phase", async () => {
    const drift = async (rho: number) => {
      const options = { alignmentSteps: 8, userSteps: 8, rho };
      const at = await trajectory(options, 9, "lisa", sgd({ momentum: 0, weightDecay: 0 }));
      return Math.sqrt(at("weights", 8).reduce((sum, x, i) => sum + (x - (at("weights", 0)[i] as number)) ** 2, 0));
    };
    const [free, held, fixed] = [await drift(0), await drift(20), await drift(90)];
    expect(held).toBeLessThan(free * 0.8);
    expect(fixed).toBeLessThan(free * 0.2);
  });
});
