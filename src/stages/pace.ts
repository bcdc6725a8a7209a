import { isObject } from "../formats/strict-json.ts";
import { createModel, moduleOf } from "../models/index.ts";
import { type Device, type DeviceTensors, DryDevice, type Machine } from "../runtime/index.ts";
import { RandomStream } from "../tensor/random.ts";
import { type DType, zeros } from "../tensor/tensor.ts";
import { microBatches } from "../train/stepper.ts";
import { TrainingProgram } from "../train/training-program.ts";
import { TrainingStepper } from "../train/training-stepper.ts";
import { largestSteps } from "./memory.ts";
import { programOf, type TrainingRun } from "./training-run.ts";

/** Steps are tried on as many layers as one of so many seconds has, and on four at least: embedding and head cost otherwise than layers. */
const [STEP_SECONDS, LEAST_LAYERS] = [6, 4];
/** Steps are tried until so many seconds have passed, and three at least: other programs' share of the machine changes from second to second. */
const [SECONDS, LEAST] = [3, 3];

/** What drives a run's steps on a device. */
export async function stepperOn(device: Device, job: TrainingRun) {
  const { compiled, batches, facts, steps } = programOf(job);
  const program = await TrainingProgram.compile({ ...compiled, device });
  const stepper = new TrainingStepper({ program, rows: job.streams, facts });
  const take = (step: number) => stepper.step(microBatches(batches, step, job.options.microBatches), 0, step);
  return { compiled, program, batches, steps, take };
}

/**
 * How long a run's steps take, as a multiple of what the machine's speed says of their kernels: some steps are taken on the model, or on the
 * first layers of a large one, and priced. What the weights are decides nothing about time, so none is read.
 *
 * @param job its model may lie on a device that computes nothing
 * @param secondsPerStep by the machine's speed
 * @throws {BoosterError} where the run cannot be with so few layers
 */
export async function paceOf(
  job: TrainingRun,
  machine: Machine,
  device: Device,
  secondsPerStep: number,
): Promise<number> {
  const { base, lora } = job.start;
  const layers = Math.max(LEAST_LAYERS, Math.floor((base.model.layers * STEP_SECONDS) / secondsPerStep));
  const model = createModel(firstLayers(base.stored.config(), base.model.layers, layers));
  const has = (name: string) => model.modules.has(moduleOf(name.replace(/\.(scales|minima)$/, "")));
  const start = {
    ...job.start,
    base: { ...base, device, model, weights: await drawn(device, base.weights, has) },
    lora: lora && { ...lora, tensors: new Map([...lora.tensors].filter(([name]) => has(name))) },
  };
  const real = await stepperOn(device, { ...job, start });
  const times: number[] = [];
  // The largest step comes first, untimed: it gets the memory of all others, as a long run's first steps do.
  const [largest = 0] = largestSteps(real.batches, job.streams, real.steps, 1);
  await real.take(largest);
  const begun = performance.now();
  for (let step = 0; step < real.steps && (step < LEAST || performance.now() - begun < 1000 * SECONDS); step++) {
    const begin = performance.now();
    await real.take(step);
    times.push((performance.now() - begin) / 1000);
  }
  // Priced afterwards: what is traced and collected in between would slow the steps down.
  const dry = new DryDevice(machine);
  const priced = await stepperOn(dry, { ...job, start });
  for (const step of times.keys()) await priced.take(step);
  const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);
  return sum(times) / sum(dry.tallies.map(({ seconds }) => seconds));
}

/** The configuration of a model of so many layers with fewer of them; what a list says of each layer is cut as well. */
export function firstLayers(config: unknown, layers: number, kept: number): unknown {
  if (!isObject(config)) return config;
  const fewer = (key: string, value: unknown) => {
    if (key === "num_hidden_layers" || key === "n_layer") return Math.min(layers, kept);
    return Array.isArray(value) && value.length === layers ? value.slice(0, kept) : value;
  };
  return Object.fromEntries(Object.entries(config).map(([key, value]) => [key, fewer(key, value)]));
}

/** Numbers, or codes, of the size of weights, from 32 random bits: none so small that processors slow down, and none overflows. */
const DRAWN: Readonly<Partial<Record<DType, (bits: number) => number>>> = {
  float32: (bits) => (bits / 2 ** 32 - 0.5) / 10,
  float16: (bits) => 0x2800 | (bits & 0x83ff),
  uint16: (bits) => 0x3c80 | (bits & 0x807f),
  int8: (bits) => (bits & 0xff) - 128,
  uint8: (bits) => bits & 0xff,
};

/** Random bits are used again after so many, a prime number: a matrix would take seconds otherwise. */
const PERIOD = 65_521;

/** Other weights of those types, on another device. */
async function drawn(device: Device, weights: DeviceTensors, which: (name: string) => boolean): Promise<DeviceTensors> {
  const named = Object.entries(weights).filter(([name]) => which(name));
  const random = new RandomStream(0, "weights");
  const bits = Uint32Array.from({ length: PERIOD }, (_, i) => random.bits(i));
  return device.uploadAll(
    named.map(([name, { type, dims }]) => {
      const empty = zeros(type as DType, dims);
      const data = empty.data as Float32Array;
      const draw = DRAWN[type as DType] ?? (() => 0);
      // Codes are up to a hundred.
      const unit = name.endsWith(".scales") ? 0.01 : 1;
      for (let i = 0; i < data.length; i++) data[i] = unit * draw(bits[i % PERIOD] as number);
      return [name, empty] as const;
    }),
  );
}
