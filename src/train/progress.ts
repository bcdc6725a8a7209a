import type { Progress } from "./pace.ts";

/** Where progress is shown: anything that text can be written to, e.g. `process.stderr`. */
export interface ProgressTarget {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

/** How progress is shown: one line that is rewritten, a line now and then, or JSON. */
export type ProgressStyle = "live" | "lines" | "json";

/** Milliseconds between two plain lines: a log of a day's run stays readable. */
const LINE_INTERVAL = 10_000;
/** Milliseconds between two redraws: faster than the eye reads costs terminal time. */
const LIVE_INTERVAL = 100;

/**
 * Shows progress on a terminal, in a log file, or to a program.
 *
 * @example
 * const reporter = new ProgressReporter(process.stderr, "live");
 * await train({ onProgress: (progress) => reporter.update(progress), ... });
 * reporter.finish();
 */
export class ProgressReporter {
  private readonly target: ProgressTarget;
  private readonly style: ProgressStyle;
  private shownAt = Number.NEGATIVE_INFINITY;
  private lineOpen = false;

  /** `style` defaults to what suits the target: `live` on a terminal, `lines` elsewhere. */
  constructor(target: ProgressTarget, style: ProgressStyle = target.isTTY === true ? "live" : "lines") {
    this.target = target;
    this.style = style;
  }

  update(progress: Progress): void {
    if (this.style === "json") {
      this.target.write(`${JSON.stringify({ type: "progress", ...progress })}\n`);
      return;
    }
    const live = this.style === "live";
    const now = performance.now();
    const last = progress.step === progress.totalSteps;
    if (!last && now - this.shownAt < (live ? LIVE_INTERVAL : LINE_INTERVAL)) return;
    this.shownAt = now;
    const line = describeProgress(progress);
    // The last column stays free: filling it makes some terminals wrap.
    this.target.write(live ? `\r${line.slice(0, (this.target.columns ?? 80) - 1)}\x1b[K` : `${line}\n`);
    this.lineOpen = live;
  }

  /** Says something once, above the progress line. */
  note(text: string): void {
    if (this.style === "json") this.target.write(`${JSON.stringify({ type: "notice", text })}\n`);
    else this.target.write(this.lineOpen ? `\r\x1b[K${text}\n` : `${text}\n`);
    this.lineOpen = false;
  }

  /** Ends the progress line, so that what follows starts on its own. */
  finish(): void {
    if (this.lineOpen) this.target.write("\n");
    this.lineOpen = false;
  }
}

/** @example `step 120/10000  1.2 %  loss 1.8342  lr 5.0e-4  2.9k tok/s  2 h 13 min left` */
export function describeProgress(progress: Progress): string {
  const { step, totalSteps, loss, learningRate, tokensPerSecond, secondsLeft } = progress;
  return [
    `step ${step}/${totalSteps}`,
    `${((100 * step) / totalSteps).toFixed(1)} %`,
    `loss ${loss.toFixed(4)}`,
    `lr ${learningRate.toExponential(1)}`,
    `${compact(tokensPerSecond)} tok/s`,
    step === totalSteps ? "done" : `${duration(secondsLeft)} left`,
  ].join("  ");
}

const compact = (value: number): string => (value < 1000 ? value.toFixed(0) : `${(value / 1000).toFixed(1)}k`);

function duration(seconds: number): string {
  const whole = Math.ceil(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}
