import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { choose } from "../choice.ts";
import { BoosterError } from "../errors.ts";
import type { Adapter } from "../formats/peft.ts";
import { METHODS } from "../methods/registry.ts";
import type { LoraAdapter } from "../models/adapters.ts";
import type { Example, Model } from "../models/index.ts";
import { asAdapter, type LoadedModel, type NamedWeights } from "../models/load.ts";
import { type AdapterLink, refuseOutdated, type Template } from "../models/model-file.ts";
import { OPTIMIZERS, schedule } from "../optim/index.ts";
import { profileTable } from "../runtime/index.ts";
import {
  type BatchSource,
  type Evaluation,
  type Following,
  type RunDescription,
  RunDirectory,
  train,
} from "../train/index.ts";
import { assertFinite } from "../train/non-finite.ts";
import { ofStream, planRun } from "../train/run-facts.ts";
import { type TrainingOptions as ProgramOptions, TrainingProgram } from "../train/training-program.ts";
import { TrainingStepper } from "../train/training-stepper.ts";
import { layCheckpoint } from "./lay-checkpoint.ts";
import { checkMemory } from "./memory.ts";
import type { BaseChoice, TrainingOptions } from "./options.ts";
import { type Lineage, publishAdapter, publishModel } from "./publish.ts";
import { initial } from "./starting-weights.ts";
import type { StartingPoint } from "./workbench.ts";

/** Where a row has more tokens, scores of all queries would be most of what is in memory: they are computed again. */
export const LONG = 512;

/** Vocabularies from this size on have their loss computed in parts, which saves memory and costs nothing. */
const LARGE_VOCABULARY = 8192;
/** Parts of the loss of a large vocabulary. */
const CHUNKS = { speed: 4, low: 16 } as const;
/** Newest checkpoints that a run keeps. */
const KEPT_CHECKPOINTS = 2;

export const lossChunks = (vocabSize: number, memory: keyof typeof CHUNKS = "speed"): number =>
  vocabSize < LARGE_VOCABULARY ? 1 : CHUNKS[memory];

/** How a training run ended. */
export interface TrainingOutcome {
  /** `stopped`: it was asked to; resume the same run to go on. */
  readonly outcome: "finished" | "stopped";
  readonly run: string;
  readonly step: number;
  /** Folder of the LoRA adapter, or of the whole model when all weights were trained; absent while unfinished. */
  readonly adapter?: string;
  readonly model?: string;
}

const COST = "cost.json";

/** The content of cost.json. */
export interface TrainingCost {
  readonly steps: number;
  /** Mean over the steps of the process that ended the run; absent when it took none. */
  readonly secondsPerStep?: number;
  /** The most memory that the process ever had, also for other runs before: an upper bound. In 10^6 bytes. */
  readonly peakMegabytes?: number;
}

export const readCost = (run: string): TrainingCost =>
  JSON.parse(readFileSync(join(run, COST), "utf8")) as TrainingCost;

/** What the measurement along a run may look at. */
export interface Trainee {
  readonly base: LoadedModel;
  /** What LoRA factors are multiplied by. */
  readonly scale: number;
  /** The trained tensors as they are now. */
  trained(): Promise<NamedWeights>;
  /** Which rows of the first stream each step is about. */
  readonly batches: BatchSource;
}

/** A training run with its data at hand. */
export interface TrainingRun {
  readonly options: TrainingOptions &
    BaseChoice & {
      readonly run: string;
      readonly resume: boolean;
      readonly method: { readonly name: string };
      readonly template: Template;
    };
  readonly description: RunDescription;
  readonly start: StartingPoint;
  /** Whether it comes to an aligned model. */
  readonly aligns: boolean;
  /** Examples of each batch stream of the method. */
  readonly streams: Readonly<Record<string, readonly Example[]>>;
  /** What the run's data.json says. */
  readonly data: unknown;
  /** Further files for the run's folder. */
  readonly files?: Readonly<Record<string, string>>;
  readonly evaluation?: (trainee: Trainee) => Promise<Evaluation | undefined>;
  /** Publishes what was trained as a model folder, where neither an adapter nor all weights are what is wanted. */
  readonly publish?: (
    run: RunDirectory,
    trained: Partial<Pick<Adapter, "config">> & { readonly tensors: NamedWeights },
    made: Lineage,
  ) => Promise<string>;
}

/** @throws {BoosterError} `METHOD_NEEDS_WHOLE_BATCH` where a long row changes how the rows of its batch are computed, and parts would hide it */
function refuseCutLongRows(
  { longBeyond = Number.POSITIVE_INFINITY }: Model,
  longest: number,
  microBatches: number,
): void {
  if (microBatches === 1 || longest <= longBeyond) return;
  throw new BoosterError(
    "METHOD_NEEDS_WHOLE_BATCH",
    "in this model a long row changes how all rows of its batch are computed",
    {
      expected: `microBatches 1, or rows of at most ${longBeyond} tokens`,
      found: `microBatches ${microBatches}, a row of ${longest} tokens`,
      hint: `Set maxTokens to ${longBeyond}, or microBatches to 1.`,
    },
  );
}

/**
 * A training run as a program: what is compiled, and what its steps read. Nothing is computed or written yet.
 *
 * @throws {BoosterError} what `choose` and `planRun` throw, and `OPTIONS_CONFLICT` where what stands on the model cannot be trained on
 */
export function programOf({ options: training, start, streams }: TrainingRun) {
  const { base } = start;
  const method = choose(METHODS, training.method);
  const longest = Object.values(streams)
    .flat()
    .reduce((most, { inputIds }) => Math.max(most, inputIds.length), 0);
  refuseCutLongRows(base.model, longest, training.microBatches);
  const starting = initial(start, training);
  const rows = Object.fromEntries(Object.entries(streams).map(([stream, { length }]) => [stream, length]));
  const compiled: ProgramOptions = {
    device: base.device,
    model: base.model,
    frozen: base.weights,
    adapter: asAdapter(starting),
    method,
    optimizer: choose(OPTIMIZERS, training.optimizer)(training.weightDecay),
    maxGradNorm: training.maxGradNorm,
    microBatches: training.microBatches,
    chunks: lossChunks(base.model.vocabSize, training.memory),
    recompute: training.memory === "low",
    blocks: training.memory === "low" || longest > LONG,
    rows,
    padId: base.tokenizer.padId ?? 0,
  };
  return { starting, compiled, ...planRun({ ...training, model: base.model, method, rows }) };
}

/**
 * Trains and publishes: the part that alignment, fine-tuning and pre-training share.
 *
 * @throws {BoosterError} what `programOf`, `RunDirectory.open`, `TrainingProgram.compile`, `train` and writing throw
 */
export async function runTraining(job: TrainingRun, { emit, signal }: Following): Promise<TrainingOutcome> {
  const { options: training, start } = job;
  const { run: folder, resume, template, microBatches } = training;
  const { base } = start;
  // Before the folder is made: what does not fit leaves none behind.
  const { starting, compiled, batches, facts, steps } = programOf(job);
  const { name, advice } = compiled.method;
  for (const text of advice?.(training) ?? []) emit?.({ type: "notice", text: `${name}: ${text}` });
  emit?.({ type: "work", text: "compiling", preparing: true });
  const program = await TrainingProgram.compile(compiled);
  const stepper = new TrainingStepper({ program, rows: job.streams, facts });
  if (!training.force) await checkMemory(stepper, batches, steps);
  if (resume) refuseOutdated(folder);
  const run = RunDirectory.open(folder, job.description, { resume, keep: KEPT_CHECKPOINTS });
  try {
    run.writeFile("data.json", `${JSON.stringify(job.data, undefined, 2)}\n`);
    for (const [file, content] of Object.entries(job.files ?? {})) run.writeFile(file, content);
    const evaluation = await job.evaluation?.({
      base,
      scale: compiled.adapter.scale,
      trained: () => program.trained(),
      batches: ofStream(batches, compiled.method.streams),
    });
    const made = { origin: start.origin, below: belowOf(start), aligns: job.aligns, template };
    const adapterNow = async () => starting.config && fitted(starting.config, assertFinite(await program.trained()));
    const { checkpointsTo } = training;
    const result = await train({
      stepper,
      run,
      batches,
      steps,
      learningRate: schedule({
        kind: training.schedule,
        learningRate: training.learningRate,
        steps,
        warmupSteps: Math.round(training.warmup * steps),
      }),
      microBatches,
      checkpointEvery: training.checkpointEvery,
      checkpointSeconds: training.checkpointSeconds,
      onCheckpoint:
        checkpointsTo === undefined
          ? undefined
          : async (step, epochEnd, metricsBytes) => {
              const folder = layCheckpoint(checkpointsTo, {
                run,
                step,
                metricsBytes,
                adapter: epochEnd ? await adapterNow() : undefined,
                model: base.model,
                made,
              });
              emit?.({ type: "checkpoint", step, epochEnd, folder });
            },
      ...(evaluation === undefined ? {} : { evaluation }),
      emit,
      signal,
    });
    const { profilePrefix } = base.device.options;
    if (profilePrefix !== undefined) writeFileSync(`${profilePrefix}.txt`, `${profileTable(program.profile())}\n`);
    // A run that was killed after its last step takes none when it is resumed, and keeps what is there.
    if (stepper.steps > 0 || !existsSync(join(folder, COST)))
      run.writeFile(COST, costOf(result.outcome === "finished" ? result.step : steps, stepper));
    const { outcome, step } = result;
    if (result.outcome === "stopped") return { outcome, run: folder, step };
    const published =
      job.publish !== undefined
        ? { model: await job.publish(run, { ...starting, tensors: result.adapter }, made) }
        : starting.config === undefined
          ? { model: await publishModel(run, result.adapter, made) }
          : { adapter: await publishAdapter(run, fitted(starting.config, result.adapter), base.model, made) };
    return { outcome, run: folder, step, ...published };
  } finally {
    run.close();
  }
}

const costOf = (steps: number, stepper: TrainingStepper): string => {
  const peakMegabytes = (process.resourceUsage().maxRSS * 1024) / 1e6;
  const cost: TrainingCost =
    stepper.steps === 0 ? { steps } : { steps, secondsPerStep: stepper.seconds / stepper.steps, peakMegabytes };
  return `${JSON.stringify(cost)}\n`;
};

/** The adapters below the one that is trained. */
const belowOf = ({ origin, lora }: StartingPoint): readonly AdapterLink[] =>
  lora === undefined ? origin.adapters : origin.adapters.slice(0, -1);

/** Factors whose rank a method may have changed; their scale stays. */
function fitted(config: Adapter["config"], tensors: NamedWeights): LoraAdapter {
  const ranks = [...tensors].map(([name, { shape }]) => (name.endsWith("lora_A.weight") ? (shape[0] ?? 0) : 0));
  const r = ranks.reduce((most, rank) => Math.max(most, rank), 0) || config.r;
  const alpha = config.useRslora ? config.alpha * Math.sqrt(r / config.r) : (config.alpha * r) / config.r;
  return { config: r === config.r ? config : { ...config, r, alpha }, tensors };
}
