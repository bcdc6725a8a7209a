import type { TensorType } from "../autodiff/index.ts";
import { BoosterError, fitting, rowNamed } from "../errors.ts";
import type { Example } from "../models/index.ts";
import { booster } from "./alignment/booster.ts";
import { boosterVaccine } from "./alignment/booster-vaccine.ts";
import { deepAlignment } from "./alignment/deep-alignment.ts";
import { repnoise } from "./alignment/repnoise.ts";
import { rsnTune, snTune } from "./alignment/safety-neurons/safety-neurons.ts";
import { sft } from "./alignment/sft.ts";
import { tVaccine } from "./alignment/t-vaccine.ts";
import { tar } from "./alignment/tar/tar.ts";
import { unitedAlignment } from "./alignment/united-alignment.ts";
import { vaccine } from "./alignment/vaccine.ts";
import { constrainedSft } from "./finetuning/constrained-sft.ts";
import { ewc } from "./finetuning/ewc.ts";
import { kl } from "./finetuning/kl.ts";
import { ldifs } from "./finetuning/ldifs.ts";
import { lisa } from "./finetuning/lisa.ts";
import { panacea } from "./finetuning/panacea.ts";
import { safeinstr } from "./finetuning/safeinstr.ts";
import { safetyLayers } from "./finetuning/safety-layers/safety-layers.ts";
import { salora } from "./finetuning/salora/salora.ts";
import { seal } from "./finetuning/seal/seal.ts";
import { united } from "./finetuning/united.ts";
import { vlguard } from "./finetuning/vlguard.ts";
import type {
  Call,
  Finished,
  MemorySpec,
  Method,
  Outcome,
  Preparation,
  Prepared,
  RunFacts,
  StepContext,
  StepDirection,
  Tuned,
} from "./method.ts";

/** A method with its options filled in: what the trainer runs. */
export interface ConfiguredMethod {
  readonly name: string;
  readonly stage: Method["stage"];
  readonly streams: readonly string[];
  readonly options: unknown;
  readonly masked: boolean;
  /** Absent where it trains both kinds. */
  readonly trains: Tuned | undefined;
  step(context: StepContext): StepDirection;
  /** What the program of that name does. */
  run(program: string, context: StepContext): Outcome;
  passes(): ReturnType<Method["passes"]>;
  batchSizes(): Readonly<Record<string, number>>;
  copies(): Readonly<Record<string, "weights" | "zeros">>;
  memory(facts: Pick<RunFacts, "model" | "rows">): Readonly<Record<string, MemorySpec>>;
  inputs(facts: Pick<RunFacts, "model" | "rows">): Readonly<Record<string, TensorType>>;
  plan(step: number, facts: RunFacts): readonly Call[];
  extraSteps(facts: RunFacts): number;
  readers(
    rows: Readonly<Record<string, readonly Example[]>>,
    seed: number,
  ): Readonly<Record<string, (row: number, step: number) => Example>>;
  prepare(preparation: Preparation): Promise<Prepared>;
  /** Absent where the trained weights are published as they are. */
  readonly publish: ((finished: Finished) => Finished["weights"]) | undefined;
}

/** A row of the table: a method with its option type hidden behind its own schema. */
interface Row {
  readonly name: string;
  readonly method: Method;
  configure(options: unknown): ConfiguredMethod;
}

function row<Options>(method: Method<Options>): Row {
  return {
    name: method.name,
    method: method as Method,
    configure(raw) {
      return bind(method, fitting(method.options, raw, "METHOD_OPTIONS_INVALID", method.name));
    },
  };
}

function bind<Options>(method: Method<Options>, options: Options): ConfiguredMethod {
  const { name, stage, streams, masked = false, trains, also = {} } = method;
  const step = (context: StepContext) => method.step(context, options);
  const programs = Object.entries(also).map(([program, build]) => ({ name: program, build }));
  return {
    name,
    stage,
    streams,
    options,
    masked,
    trains,
    step,
    run(program, context) {
      if (program === "step") return step(context);
      const other = rowNamed(programs, program, "INTERNAL", `${name} plans a program that it does not have`);
      return other.build(context, options);
    },
    passes: () => method.passes(options),
    batchSizes: () => method.batchSizes?.(options) ?? {},
    copies: () => method.copies?.(options) ?? {},
    memory: (facts) => method.memory?.(facts, options) ?? {},
    inputs: (facts) => method.inputs?.(facts, options) ?? {},
    plan: (at, facts) => method.plan?.(at, facts, options) ?? [{}],
    extraSteps: (facts) => method.extraSteps?.(facts, options) ?? 0,
    readers: (rows, seed) => method.readers?.(rows, seed, options) ?? {},
    prepare: async (preparation) => (await method.prepare?.(preparation, options)) ?? {},
    publish: method.publish && ((finished) => method.publish?.(finished, options) ?? finished.weights),
  };
}

/** Every training method. A new one is one file and one row. */
export const METHODS: readonly Row[] = [
  row(sft),
  row(booster),
  row(vaccine),
  row(boosterVaccine),
  row(tVaccine),
  row(repnoise),
  row(deepAlignment),
  row(unitedAlignment),
  row(united),
  row(lisa),
  row(ldifs),
  row(ewc),
  row(kl),
  row(vlguard),
  row(safeinstr),
  row(panacea),
  row(tar),
  row(constrainedSft),
  row(seal),
  row(snTune),
  row(rsnTune),
  row(safetyLayers),
  row(salora),
];

/**
 * A method by name, its options checked and completed with the paper's defaults.
 *
 * @throws {BoosterError} `UNKNOWN_METHOD`, `METHOD_OPTIONS_INVALID`.
 * @example
 * configureMethod("booster", { lambda: 5, alpha: 0.1 });
 */
export function configureMethod(name: string, options: unknown = {}): ConfiguredMethod {
  return rowNamed(METHODS, name, "UNKNOWN_METHOD", "no such method").configure(options);
}

/** @throws {BoosterError} `OPTIONS_CONFLICT` where the method cannot train these weights */
export function checkTuned({ name, trains }: ConfiguredMethod, tune: Tuned): void {
  if (trains === undefined || trains === tune) return;
  throw new BoosterError(
    "OPTIONS_CONFLICT",
    `${name} trains ${trains === "lora" ? "LoRA factors alone" : "the weights themselves"}`,
    { expected: `tune: ${trains}`, found: `tune: ${tune}`, where: "tune" },
  );
}
