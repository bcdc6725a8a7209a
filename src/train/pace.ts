import type { StepResult } from "./stepper.ts";

/** Where a run is, after each step. */
export interface Progress {
  readonly step: number;
  readonly totalSteps: number;
  readonly loss: number;
  readonly learningRate: number;
  readonly tokensPerSecond: number;
  /** Checkpoints and evaluations counted in. */
  readonly secondsLeft: number;
}

/** Weight of the newest step in the running mean: the display follows a change within some twenty steps. */
const NEWEST = 0.1;

/** Measures speed on the monotonic clock, from the first step of this process on. */
export class Pace {
  private last = performance.now();
  private secondsPerStep: number | undefined;
  private tokensPerStep = 0;

  constructor(private readonly total: number) {}

  /** Progress after a step; `step` steps are done then. */
  after(result: StepResult, step: number, learningRate: number): Progress {
    const now = performance.now();
    const seconds = (now - this.last) / 1000;
    this.last = now;
    const weight = this.secondsPerStep === undefined ? 1 : NEWEST;
    this.secondsPerStep = mix(this.secondsPerStep ?? 0, seconds, weight);
    this.tokensPerStep = mix(this.tokensPerStep, result.tokens, weight);
    return {
      step,
      totalSteps: this.total,
      loss: result.metrics.loss,
      learningRate,
      tokensPerSecond: this.tokensPerStep / this.secondsPerStep,
      secondsLeft: this.secondsPerStep * (this.total - step),
    };
  }
}

const mix = (old: number, fresh: number, weight: number): number => old + weight * (fresh - old);
