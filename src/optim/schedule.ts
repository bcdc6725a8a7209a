/** Learning rate at a step counted from 0. */
export type Schedule = (step: number) => number;

export const SCHEDULES = ["constant", "linear", "cosine"] as const;

export interface ScheduleOptions {
  readonly kind: (typeof SCHEDULES)[number];
  readonly learningRate: number;
  /** Steps of the whole run. */
  readonly steps: number;
  /** Steps over which the rate rises linearly from 0. Default 0. */
  readonly warmupSteps?: number;
}

/**
 * The rate of each step: a linear rise over the warm-up, then constant, linear to 0, or half a cosine to 0.
 * Source: Hugging Face's schedules of the same names; unlike there, `constant` honours the warm-up.
 *
 * @example
 * const rate = schedule({ kind: "cosine", learningRate: 5e-4, steps: 1000, warmupSteps: 100 });
 * rate(50); // 2.5e-4
 */
export function schedule({ kind, learningRate, steps, warmupSteps = 0 }: ScheduleOptions): Schedule {
  const after = {
    constant: () => 1,
    linear: (progress: number) => 1 - progress,
    cosine: (progress: number) => (1 + Math.cos(Math.PI * progress)) / 2,
  }[kind];
  return (step) => {
    if (step < warmupSteps) return (learningRate * step) / warmupSteps;
    const progress = Math.min(1, (step - warmupSteps) / Math.max(1, steps - warmupSteps));
    return learningRate * after(progress);
  };
}
