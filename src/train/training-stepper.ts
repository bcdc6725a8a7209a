import { BoosterError, type Watch } from "../errors.ts";
import type { Call, RunFacts, TrainingMethod } from "../methods/method.ts";
import type { Example } from "../models/index.ts";
import { arenaBytes } from "../runtime/index.ts";
import type { HostTensor } from "../tensor/tensor.ts";
import { type Stepper, type StepResult, split } from "./stepper.ts";
import type { TrainingProgram } from "./training-program.ts";

export interface StepperOptions {
  readonly program: TrainingProgram;
  /** The examples of each stream of the method; batches name them by their place. */
  readonly rows: Readonly<Record<string, readonly Example[]>>;
  readonly facts: RunFacts;
}

/** Each stream's batch of a step, in parts. */
type Planned = Readonly<Record<string, readonly Int32Array[]>>;

/**
 * A compiled training program fed with rows, as its method plans: what `train` drives.
 *
 * @example
 * const stepper = new TrainingStepper({ program, rows: { alignment: refusals, harmful }, facts });
 */
export class TrainingStepper implements Stepper {
  readonly streams: readonly string[];
  /** Steps that this object took, and the seconds spent in them: what a method costs. */
  steps = 0;
  seconds = 0;
  private readonly readers: ReturnType<TrainingMethod["schedule"]["readers"]>;

  constructor(readonly options: StepperOptions) {
    const { method } = options.program.options;
    this.streams = method.streams;
    this.readers = method.schedule.readers(options.rows, options.facts.seed);
  }

  async step(batches: Planned, learningRate: number, step: number): Promise<StepResult> {
    const { program, facts } = this.options;
    const calls = program.options.method.schedule.calls(step, facts);
    const start = performance.now();
    let [applied, tokens] = [true, 0];
    const metrics: Record<string, number> = {};
    // What one call leaves behind the next one reads, so a step of several that fails midway is taken back.
    program.state.hold();
    try {
      for (const call of calls) {
        applied = false;
        const done = await this.run(call, batches, learningRate, step);
        tokens += done.tokens;
        Object.assign(metrics, done.metrics);
        applied = done.applied;
        if (!applied) break;
      }
    } finally {
      program.state.release({ restore: !applied });
    }
    this.seconds += (performance.now() - start) / 1000;
    this.steps++;
    const { loss = Number.NaN, ...others } = metrics;
    return { applied, tokens, metrics: { loss, ...others } };
  }

  /** What the results of a step take at most on these batches, each program in memory of its own; bytes. */
  async peakBytes(planned: Planned, step: number): Promise<number> {
    const { program, facts } = this.options;
    const most = new Map<string, number>();
    for (const each of program.options.method.schedule.calls(step, facts)) {
      const call = await this.filled(each, planned, 0, step);
      most.set(call.program, Math.max(most.get(call.program) ?? 0, await program.peakBytes(call)));
    }
    return [...most.values()].reduce((sum, bytes) => sum + arenaBytes(bytes), 0);
  }

  private async run(planned: Call, batches: Planned, learningRate: number, step: number) {
    const call = await this.filled(planned, batches, learningRate, step);
    const { applied, ...metrics } = await this.options.program.run(call);
    const tokens = Object.values(call.batches)
      .flat(2)
      .reduce((sum, { inputIds }) => sum + inputIds.length, 0);
    return { applied: applied === 1, tokens, metrics };
  }

  /** A call with the examples that it reads. */
  private async filled(
    { program: name = "step", rows = {}, inputs }: Call,
    planned: Planned,
    learningRate: number,
    step: number,
  ) {
    const { program } = this.options;
    const { microBatches = 1 } = program.options;
    const batches: Record<string, Example[][]> = {};
    for (const stream of await program.streamsOf(name)) {
      const own = rows[stream];
      const parts = own === undefined ? (planned[stream] ?? []) : split(own, microBatches);
      batches[stream] = parts.map((part) => Array.from(part, (row) => this.row(stream, row, step)));
    }
    const whole = Object.fromEntries(Object.entries(batches).map(([stream, parts]) => [stream, parts.flat()]));
    return { program: name, batches, learningRate, ...(inputs && { inputs: inputs(whole) }) };
  }

  private row(stream: string, row: number, step: number): Example {
    const example = this.options.rows[stream]?.[row];
    if (example !== undefined) return this.readers[stream]?.(row, step) ?? example;
    throw new BoosterError("ROW_UNKNOWN", "a batch names a row that is not there", {
      expected: `0 to ${(this.options.rows[stream]?.length ?? 0) - 1}`,
      found: String(row),
      where: stream,
    });
  }

  prepare(watch?: Watch): Promise<void> {
    const { program, rows, facts } = this.options;
    return program.prepare(rows, facts.seed, watch);
  }

  save(): Promise<Map<string, HostTensor>> {
    return this.options.program.save();
  }

  load(state: ReadonlyMap<string, HostTensor>): Promise<void> {
    return this.options.program.load(state);
  }

  adapter(): Promise<ReadonlyMap<string, HostTensor<"float32">>> {
    return this.options.program.trained();
  }
}
