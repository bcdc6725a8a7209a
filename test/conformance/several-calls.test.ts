/** Programs that are no optimiser step, and steps of several calls: what they report, and what they leave when they fail. */

import { expect, test } from "vitest";
import { z } from "zod";
import { ops, tree } from "../../src/autodiff/index.ts";
import { choose } from "../../src/choice.ts";
import { type Call, method, type Outcome, type StepContext, type StepDirection } from "../../src/methods/method.ts";
import { METHODS } from "../../src/methods/registry.ts";
import { copy, scalar } from "../../src/methods/state.ts";
import { adamW } from "../../src/optim/index.ts";
import { Device } from "../../src/runtime/index.ts";
import { planRun } from "../../src/train/run-facts.ts";
import { TrainingProgram } from "../../src/train/training-program.ts";
import { TrainingStepper } from "../../src/train/training-stepper.ts";
import { loraShapes, randomRows, randomTensors, tinyModel } from "./tiny-model.ts";
import { hash } from "./training.ts";

const device = new Device({ threads: 1 });
const model = tinyModel();
const RATE = 1e-2;

const STATE = { start: copy("weights"), note: scalar() };

const programs: Record<string, (context: StepContext<typeof STATE>) => Outcome<typeof STATE>> = {
  /** No metric, no weights. */
  note: ({ state }) => ({ state: { note: ops.add(state.note, 1) } }),
  spoil: ({ state }) => ({ state: { note: ops.div(ops.add(state.note, 1), 0) } }),
  /** Weights without a gradient. */
  back: ({ state }) => ({ weights: state.start }),
  away: ({ weights, state }) => ({
    weights: tree.scale(weights, 2),
    state: { note: ops.add(state.note, 1) },
    metrics: { away: ops.constant(1, "float32") },
  }),
};

async function trainer(calls: (step: number) => readonly Call[]) {
  const sft = choose(METHODS, { name: "sft" });
  const own = method({
    name: "several-calls",
    label: "Several calls",
    stage: "align",
    streams: sft.streams,
    options: z.strictObject({}),
    tried: [],
    state: STATE,
    create: () => ({
      passes: sft.passes,
      step: (context) => sft.step(context) as StepDirection<typeof STATE>,
      programs,
      schedule: { calls },
    }),
  }).create({});
  const rows = { alignment: randomRows(model, [5, 6, 7]) };
  const program = await TrainingProgram.compile({
    device,
    model,
    frozen: await device.uploadAll(Object.entries(randomTensors(model.weights, "float32"))),
    adapter: { scale: 0.5, tensors: new Map(Object.entries(randomTensors(loraShapes(model), "float32", 2))) },
    method: own,
    optimizer: adamW(),
    maxGradNorm: 1,
    chunks: 1,
  });
  const { facts } = planRun({ model, method: own, rows: { alignment: 3 }, batchSize: 3, seed: 1, steps: 4, epochs: 1 });
  const stepper = new TrainingStepper({ program, rows, facts });
  const step = (at: number) => stepper.step({ alignment: [Int32Array.of(0, 1, 2)] }, RATE, at);
  return { program, step };
}

const note = async (program: TrainingProgram) => (await program.save()).get("memory note")?.data[0];

test("a program without a metric is applied, unless what it leaves is not finite", async () => {
  const { program } = await trainer(() => [{}]);
  const call = { batches: {}, learningRate: RATE };
  expect(await program.run({ ...call, program: "note" })).toEqual({ applied: 1 });
  expect(await note(program)).toBe(1);
  expect(await program.run({ ...call, program: "spoil" })).toEqual({ applied: 0 });
  expect(await note(program)).toBe(1);
});

test("weights that come without a gradient: the norm of the update is how far they are from the present ones", async () => {
  const { program, step } = await trainer((at) => [at < 2 ? {} : { program: "back" }]);
  const before = (await program.save()).get("weights")?.data as Float32Array;
  await step(0);
  await step(1);
  const after = (await program.save()).get("weights")?.data as Float32Array;
  const { metrics } = await step(2);
  const distance = Math.sqrt(before.reduce((sum, x, i) => sum + (x - (after[i] as number)) ** 2, 0));
  expect(distance).toBeGreaterThan(0.01);
  expect(metrics.updateNorm).toBeCloseTo(distance, 5);
  expect((await program.save()).get("weights")?.data).toEqual(before);
});

test("a step of several calls that fails, or that stops with an error, leaves what was before it", async () => {
  const failing: Call = { rows: { alignment: Int32Array.of(99) } };
  const plans: readonly Call[][] = [
    [{}],
    [{ program: "away" }, { program: "note" }, { program: "spoil" }],
    [{ program: "away" }, { program: "away" }, failing],
    [{ program: "away" }, { program: "away" }, {}],
  ];
  const { program, step } = await trainer((at) => plans[at] as Call[]);
  await step(0);
  const start = hash(await program.save());
  expect((await step(1)).applied).toBe(false);
  expect(hash(await program.save())).toBe(start);
  await expect(step(2)).rejects.toMatchObject({ code: "ROW_UNKNOWN" });
  expect(hash(await program.save())).toBe(start);
  expect((await step(3)).applied).toBe(true);
  expect(await note(program)).toBe(2);
});

test("what is published is read without the moments", async () => {
  const { program } = await trainer(() => [{}]);
  const read: string[] = [];
  const { download } = device;
  device.download = (value) => {
    read.push(Object.entries(program.state.current).find(([, other]) => other === value)?.[0] ?? "");
    return download.call(device, value);
  };
  try {
    await program.trained();
  } finally {
    device.download = download;
  }
  expect(read).toEqual(["weights"]);
});
