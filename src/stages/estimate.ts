import { BoosterError } from "../errors.ts";
import { arenaBytes, bytesOfAll, DryDevice, type Machine, machineOf } from "../runtime/index.ts";
import { alignJob } from "./align.ts";
import { finetuneJob } from "./finetune.ts";
import { availableMemory, largestSteps } from "./memory.ts";
import { type BaseChoice, DeviceChoice, type TrainingOptions } from "./options.ts";
import { paceOf, stepperOn } from "./pace.ts";
import type { TrainingRun } from "./training-run.ts";
import { type Context, deviceOf, Workbench } from "./workbench.ts";

/** What a training run takes. */
export interface Estimate {
  readonly steps: number;
  /** Of the training; start-up, and what is measured along the way, are left out. */
  readonly seconds: number;
  /** Why no steps were tried, where none were: the seconds are then what the machine's speed says alone, which is too little. */
  readonly untried?: string;
  /** Peak resident memory of the process and what it is made of; bytes. */
  readonly bytes: number;
  readonly memory: Readonly<Record<"process" | "weights" | "training" | "program" | "results", number>>;
}

/** An estimate beside what there is. */
export interface Fit extends Estimate {
  readonly available: number;
  readonly machine: Machine;
  /** Options with which the run would fit where it does not, and what it takes then. */
  readonly change?: { readonly options: Change; readonly estimate: Estimate };
}

type Change = Partial<Pick<TrainingOptions, "memory" | "microBatches"> & BaseChoice>;

/** Node with ONNX Runtime and this package loaded, measured. */
const PROCESS_BYTES = 165e6;
/** Of a program in ONNX Runtime, for each of its nodes; measured between 1,000 and 13,000 nodes. */
const NODE_BYTES = 9e3;
/** Steps that are priced: spread over the run, and those with the most tokens. */
const [SPREAD, LARGEST] = [32, 4];
/** Trained numbers in host memory: as they were made, and in one vector. */
const COPIES = 2;
/** A state is there twice on the host, and once more while a checkpoint is written. */
const STATES = 3;

/** How each training stage makes its job. */
const JOBS = { align: alignJob, finetune: finetuneJob };

export type Estimated = keyof typeof JOBS;
export const ESTIMATED = Object.keys(JOBS) as readonly Estimated[];

/**
 * What a training run will take, and what to change where it does not fit. Its data is read and its programs are traced; some steps are taken
 * on the model, or on the first layers of a large one, for their time.
 *
 * @throws {BoosterError} what the stage throws before it trains
 * @example
 * (await estimate("align", { run: "runs/hard", model: "assets/world", method: "booster", alignment: "a.jsonl", harmful: "h.jsonl" })).bytes;
 */
export async function estimate(
  stage: Estimated,
  options: Readonly<Record<string, unknown>>,
  context: Context = {},
): Promise<Fit> {
  const choice = DeviceChoice.parse({ provider: options.provider, threads: options.threads });
  context.emit?.({ type: "work", text: "measuring this machine", preparing: true });
  const device = deviceOf(choice);
  const machine = await machineOf(device);
  const bench = new Workbench(choice, new DryDevice(machine));
  // A guard would have to read the rows, and what is measured along the way would have to be answered: both compute.
  const { moderation: _guard, curve: _curve, ...asked } = options;
  context.emit?.({ type: "work", text: "reading model and data", preparing: true });
  const jobOf = (base?: Change["base"]) =>
    JOBS[stage]({ ...asked, ...(base && { base }) } as never, { ...context, bench });
  const job = await jobOf();
  context.emit?.({ type: "work", text: "tracing", preparing: true });
  const found = await estimateTraining(job, machine);
  const tried = async (training: TrainingRun, said: Estimate): Promise<Estimate> => {
    context.emit?.({ type: "work", text: "trying some steps", preparing: true });
    try {
      const pace = await paceOf(training, machine, device, said.seconds / said.steps);
      return { ...said, seconds: said.seconds * pace };
    } catch (error) {
      if (error instanceof BoosterError) return { ...said, untried: error.message };
      throw error;
    }
  };
  const available = availableMemory();
  if (found.bytes <= available) return { ...(await tried(job, found)), available, machine };
  // Trying steps of what does not fit could end this process.
  const fit = { ...found, untried: "it does not fit", available, machine };
  for (const change of changesOf(job.options)) {
    const start = change.base === undefined ? job : await jobOf(change.base);
    const changed = { ...start, options: { ...start.options, ...change } };
    const other = await estimateTraining(changed, machine);
    if (other.bytes <= available) return { ...fit, change: { options: change, estimate: await tried(changed, other) } };
  }
  return fit;
}

/** What saves memory, the least costly first; forms of the base come last, since with them results are others. */
function changesOf({ batchSize }: TrainingOptions): readonly Change[] {
  const low = { memory: "low" } as const;
  const parts = [2, 5, batchSize].filter((n) => n <= batchSize).map((microBatches) => ({ ...low, microBatches }));
  const least = { ...low, microBatches: batchSize };
  return [low, ...parts, { ...least, base: "int8" }, { ...least, base: "int4" }];
}

/** The estimate of a training whose data is at hand. */
export async function estimateTraining(job: TrainingRun, machine: Machine): Promise<Estimate> {
  const device = new DryDevice(machine);
  const { compiled, program, batches, steps, take } = await stepperOn(device, job);
  const { frozen, adapter } = compiled;
  const spent = () => device.tallies.reduce((sum, { seconds }) => sum + seconds, 0);
  const spread = Array.from({ length: Math.min(SPREAD, steps) }, (_, i) => Math.floor((i * steps) / SPREAD));
  for (const step of spread) await take(step);
  const seconds = (spent() / spread.length) * steps;
  for (const step of largestSteps(batches, job.streams, steps, LARGEST)) await take(step);
  const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);
  const memory = {
    process: PROCESS_BYTES,
    weights: bytesOfAll(frozen),
    training: STATES * bytesOfAll(program.state.current) + COPIES * bytesOfAll(adapter.tensors),
    program: NODE_BYTES * sum(device.tallies.map(({ graph }) => graph.nodes.length)),
    results: sum(device.tallies.map(({ peakBytes }) => arenaBytes(peakBytes))),
  };
  return { steps, seconds, bytes: sum(Object.values(memory)), memory };
}
