import { RandomStream } from "../../src/tensor/random.ts";
import { type HostTensor, tensor } from "../../src/tensor/tensor.ts";
import type { Stepper, StepResult } from "../../src/train/stepper.ts";

/** What the test wants the step to be like. */
export interface QuadraticOptions {
  readonly size: number;
  /** Blocks the process for so long in each step, as a native call does. */
  readonly milliseconds?: number;
  /** True for batches whose loss shall not be finite. */
  readonly poisoned?: (batches: Readonly<Record<string, readonly Int32Array[]>>) => boolean;
}

/** Coordinates of a row that enter the loss; the rest of a row is zero, so that large tensors stay cheap. */
const ACTIVE = 16;

/**
 * A stepper in plain TypeScript with all that a real one has: float32 AdamW state, two streams, method state (a drifting
 * anchor), a step counter. The loss of a row is its squared distance from the weights; harmful rows repel.
 */
export class QuadraticStepper implements Stepper {
  readonly streams = ["alignment", "harmful"];
  private readonly options: QuadraticOptions;
  private readonly rows = new RandomStream(7, "rows");
  private weights: Float32Array;
  private first: Float32Array;
  private second: Float32Array;
  private anchor: Float32Array;
  private count = 0;

  constructor(options: QuadraticOptions) {
    this.options = options;
    this.weights = Float32Array.from({ length: options.size }, (_, i) => Math.sin(i));
    this.first = new Float32Array(options.size);
    this.second = new Float32Array(options.size);
    this.anchor = new Float32Array(ACTIVE);
  }

  async step(batches: Readonly<Record<string, readonly Int32Array[]>>, rate: number): Promise<StepResult> {
    const until = performance.now() + (this.options.milliseconds ?? 0);
    while (performance.now() < until);
    const tokens = Object.values(batches)
      .flat()
      .reduce((sum, rows) => sum + rows.length, 0);
    if (this.options.poisoned?.(batches) === true) {
      return { applied: false, tokens, metrics: { loss: Number.NaN, gradientNorm: Number.POSITIVE_INFINITY } };
    }
    const align = this.gradient(batches.alignment ?? []);
    const harm = this.gradient(batches.harmful ?? []);
    this.count++;
    let norm = 0;
    for (let i = 0; i < ACTIVE; i++) {
      const weight = this.weights[i]!;
      const gradient = Math.fround(align.values[i]! - 0.05 * harm.values[i]! + 0.01 * (weight - this.anchor[i]!));
      norm += gradient * gradient;
      this.first[i] = 0.9 * this.first[i]! + 0.1 * gradient;
      this.second[i] = 0.999 * this.second[i]! + 0.001 * gradient * gradient;
      const slope = this.first[i]! / (1 - 0.9 ** this.count);
      const curve = Math.sqrt(this.second[i]! / (1 - 0.999 ** this.count)) + 1e-8;
      this.weights[i] = weight - rate * (slope / curve + 0.1 * weight);
      this.anchor[i] = 0.99 * this.anchor[i]! + 0.01 * weight;
    }
    const metrics = { loss: align.loss, gradientNorm: Math.sqrt(norm), harmfulLoss: harm.loss };
    return { applied: true, tokens, metrics };
  }

  /** Mean over all rows, whatever the micro-batches: sums first, one division. */
  private gradient(batches: readonly Int32Array[]): { loss: number; values: Float32Array } {
    const values = new Float32Array(ACTIVE);
    const rows = batches.flatMap((batch) => [...batch]);
    let loss = 0;
    for (const row of rows) {
      for (let i = 0; i < ACTIVE; i++) {
        const difference = this.weights[i]! - this.rows.normal(row * ACTIVE + i);
        values[i]! += difference / rows.length;
        loss += (difference * difference) / (2 * rows.length);
      }
    }
    return { loss, values };
  }

  async save(): Promise<Map<string, HostTensor>> {
    return new Map<string, HostTensor>([
      ["weights", tensor("float32", [this.weights.length], this.weights.slice())],
      ["optimiser.first", tensor("float32", [this.first.length], this.first.slice())],
      ["optimiser.second", tensor("float32", [this.second.length], this.second.slice())],
      ["method.anchor", tensor("float32", [ACTIVE], this.anchor.slice())],
      ["count", tensor("int32", [1], [this.count])],
    ]);
  }

  async load(state: ReadonlyMap<string, HostTensor>): Promise<void> {
    const floats = (name: string): Float32Array => Float32Array.from(state.get(name)?.data as Float32Array);
    this.weights = floats("weights");
    this.first = floats("optimiser.first");
    this.second = floats("optimiser.second");
    this.anchor = floats("method.anchor");
    this.count = Number(state.get("count")?.data[0]);
  }

  async adapter(): Promise<Map<string, HostTensor<"float32">>> {
    return new Map([["weights", tensor("float32", [this.weights.length], this.weights.slice())]]);
  }
}
