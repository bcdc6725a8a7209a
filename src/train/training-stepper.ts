import { BoosterError } from "../errors.ts";
import type { Example } from "../models/index.ts";
import type { HostTensor } from "../tensor/tensor.ts";
import type { Stepper, StepResult } from "./stepper.ts";
import type { TrainingProgram } from "./training-program.ts";

/**
 * A compiled training program fed with rows: what `train` drives.
 *
 * @example
 * const stepper = new TrainingStepper(program, ["alignment", "harmful"], { alignment: refusals, harmful });
 */
export class TrainingStepper implements Stepper {
  readonly streams: readonly string[];
  /** Steps that this object took, and the seconds spent in them: what a method costs. */
  steps = 0;
  seconds = 0;
  private readonly program: TrainingProgram;
  private readonly rows: Readonly<Record<string, readonly Example[]>>;

  /** @param rows the examples of each stream; batches name them by their place */
  constructor(
    program: TrainingProgram,
    streams: readonly string[],
    rows: Readonly<Record<string, readonly Example[]>>,
  ) {
    this.program = program;
    this.streams = streams;
    this.rows = rows;
  }

  async step(batches: Readonly<Record<string, readonly Int32Array[]>>, learningRate: number): Promise<StepResult> {
    let tokens = 0;
    const examples: Record<string, Example[][]> = {};
    for (const stream of this.streams) {
      const parts = (batches[stream] ?? []).map((part) => Array.from(part, (row) => this.row(stream, row)));
      examples[stream] = parts;
      for (const { inputIds } of parts.flat()) tokens += inputIds.length;
    }
    const start = performance.now();
    const { applied, loss = Number.NaN, ...metrics } = await this.program.step(examples, learningRate);
    this.seconds += (performance.now() - start) / 1000;
    this.steps++;
    return { applied: applied === 1, tokens, metrics: { loss, ...metrics } };
  }

  private row(stream: string, row: number): Example {
    const example = this.rows[stream]?.[row];
    if (example !== undefined) return example;
    throw new BoosterError("ROW_UNKNOWN", "a batch names a row that is not there", {
      expected: `0 to ${(this.rows[stream]?.length ?? 0) - 1}`,
      found: String(row),
      where: stream,
    });
  }

  save(): Promise<Map<string, HostTensor>> {
    return this.program.save();
  }

  load(state: ReadonlyMap<string, HostTensor>): Promise<void> {
    return this.program.load(state);
  }

  adapter(): Promise<Map<string, HostTensor<"float32">>> {
    return this.program.trained();
  }
}
