import { choose, rowOf } from "../../src/choice.ts";
import { METHODS } from "../../src/methods/registry.ts";
import { type Example, IGNORE, type Model } from "../../src/models/index.ts";
import { adamW } from "../../src/optim/index.ts";
import { Device, type DeviceTensors } from "../../src/runtime/index.ts";
import { type HostTensor, zeros } from "../../src/tensor/tensor.ts";
import { planRun } from "../../src/train/run-facts.ts";
import { TrainingProgram } from "../../src/train/training-program.ts";
import { TrainingStepper } from "../../src/train/training-stepper.ts";
import { loraShapes, randomRows, randomTensors, tinyModel } from "./tiny-model.ts";

/** One thread, whose bytes are the same everywhere. */
export const device = new Device({ threads: 1 });
export const STEPS = 6;
const RATE = 1e-2;
const LENGTHS = [5, 7, 4, 9, 6, 8, 5, 3];

/** Settings in which a method does all that it can within a few steps of a tiny model. */
export const settingsOf = (name: string): object => rowOf(METHODS, name).trial ?? {};

/** The same LoRA factors with B zero. */
const withoutEffect = (factors: ReadonlyMap<string, HostTensor<"float32">>) =>
  new Map([...factors].map(([name, x]) => [name, name.includes("lora_B") ? zeros("float32", x.shape) : x]));

/** Row i of every stream answers the same prompt: some methods look for pairs. */
const withPrompt = ({ inputIds, labels, ...rest }: Example, i: number): Example => ({
  ...rest,
  inputIds: [i, ...Array.from(inputIds)],
  labels: [IGNORE, inputIds[0] as number, ...Array.from(labels).slice(1)],
});

/** A method at work on rows of its own. */
export async function trainer(
  name: string,
  settings: object,
  tune = rowOf(METHODS, name).trains ?? "lora",
  model: Model = tinyModel(),
  below?: DeviceTensors,
) {
  const method = choose(METHODS, { name, ...settings });
  const frozen = below ?? (await device.uploadAll(Object.entries(randomTensors(model.weights, "float32"))));
  const shapes = tune === "full" ? model.weights : loraShapes(model);
  const rows: Record<string, Example[]> = Object.fromEntries(
    method.streams.map((stream, i) => [stream, randomRows(model, LENGTHS, 10 + i).map(withPrompt)]),
  );
  const counts = Object.fromEntries(Object.entries(rows).map(([stream, list]) => [stream, list.length]));
  const { facts, steps, batches } = planRun({
    model,
    method,
    rows: counts,
    batchSize: 3,
    seed: 5,
    steps: STEPS,
    epochs: 1,
  });
  const initial = new Map(Object.entries(randomTensors(shapes, "float32", tune === "full" ? 1 : 2)));
  const program = await TrainingProgram.compile({
    device,
    model,
    frozen,
    adapter: {
      scale: tune === "full" ? 1 : 0.5,
      // Methods for factors alone begin with their own, and refuse trained ones.
      tensors: method.trains === "lora" ? withoutEffect(initial) : initial,
    },
    method,
    optimizer: adamW({ weightDecay: 0.1 }),
    maxGradNorm: 1,
    chunks: 2,
    rows: counts,
  });
  const stepper = new TrainingStepper({ program, rows, facts });
  const run = async (from: number, to: number) => {
    const results = [];
    for (let step = from; step < to; step++) {
      const drawn = Object.fromEntries(
        Object.entries(batches).map(([stream, source]) => [stream, [source.batch(step)]]),
      );
      results.push(await stepper.step(drawn, RATE, step));
    }
    return results;
  };
  return { method, stepper, program, steps, run };
}
