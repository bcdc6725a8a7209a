import type { Event } from "./event.ts";
import type { Progress } from "./pace.ts";

/** Where progress is shown: anything that text can be written to, e.g. `process.stderr`. */
export interface ProgressTarget {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

/** How progress is shown: one line that is rewritten, a line now and then, or JSON. */
export type ProgressStyle = "live" | "lines" | "json";

/** Milliseconds between two redraws: faster than the eye reads costs terminal time. */
const LIVE_INTERVAL = 100;
/** Between two lines of a log about one run, and about an experiment: the log of a day stays readable. */
const LINE_INTERVAL = 10_000;
const PIECE_LINE_INTERVAL = 60_000;

/**
 * Shows events on a terminal, in a log file, or to a program.
 *
 * @example
 * const reporter = new ProgressReporter(process.stderr, "live");
 * await align(options, { emit: (event) => reporter.show(event) });
 * reporter.finish();
 */
export class ProgressReporter {
  /** What each piece is at; a run on its own is the piece "". */
  private readonly underWay = new Map<string, string>();
  private heading = "";
  private phase = "";
  private shownAt = Number.NEGATIVE_INFINITY;
  private lineOpen = false;

  /** `style` defaults to what suits the target: `live` on a terminal, `lines` elsewhere. */
  constructor(
    private readonly target: ProgressTarget,
    private readonly style: ProgressStyle = target.isTTY === true ? "live" : "lines",
  ) {}

  show(event: Event): void {
    if (event.type === "notice" && this.style !== "json") {
      this.note(event.piece === undefined ? event.text : `${event.piece}: ${event.text}`);
      return;
    }
    const line = this.lineOf(event);
    const now = performance.now();
    if (!this.isDue(event, now)) return;
    this.shownAt = now;
    if (this.style === "json") this.target.write(`${JSON.stringify(event)}\n`);
    else if (this.style === "lines") this.target.write(`${line}\n`);
    // The last column stays free: filling it makes some terminals wrap.
    else this.target.write(`\r${line.slice(0, (this.target.columns ?? 80) - 1)}\x1b[K`);
    this.lineOpen = this.style === "live";
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

  private lineOf(event: Event): string {
    if (event.type === "piece") {
      const { piece, state, done, pieces, secondsLeft } = event;
      if (state !== "started") this.underWay.delete(piece);
      this.heading = `${done}/${pieces}${secondsLeft === undefined ? "" : ` (${timeLeft(secondsLeft)} left)`}`;
      return `${this.heading}  ${piece}${state === "started" ? " ..." : ` ${state}`}`;
    }
    const { piece } = event;
    if (event.type === "checkpoint") return `${piece ? `${piece}  ` : ""}checkpoint: ${event.folder}`;
    if (piece === undefined) return event.type === "step" ? describeProgress(event) : event.text;
    this.underWay.set(piece, `${piece}  ${event.type === "step" ? stepText(event) : event.text}`);
    return [this.heading, [...this.underWay.values()].join(" | ")].join("  ");
  }

  private isDue(event: Event, now: number): boolean {
    const quiet = this.style === "lines";
    if (event.type === "notice" || event.type === "checkpoint") return true;
    if (event.type === "piece") return !quiet || event.state !== "started";
    if (event.piece === undefined) {
      if (event.type === "step" && (this.style === "json" || event.step === event.totalSteps)) return true;
      // Another kind of work is told at once.
      const phase = event.type === "step" ? "" : event.text.replaceAll(/\d+/g, "");
      if (phase !== this.phase) this.shownAt = Number.NEGATIVE_INFINITY;
      this.phase = phase;
    }
    const interval = !quiet ? LIVE_INTERVAL : event.piece === undefined ? LINE_INTERVAL : PIECE_LINE_INTERVAL;
    return now - this.shownAt >= interval;
  }
}

/** What matters most comes first: a narrow terminal cuts the rest off. */
const stepText = ({ step, totalSteps, loss, tokensPerSecond, secondsLeft }: Progress): string =>
  `step ${step}/${totalSteps}  ${timeLeft(secondsLeft)} left  loss ${loss.toFixed(3)}  ${tokensPerSecond.toFixed(0)} tok/s`;

const timeLeft = (seconds: number): string =>
  seconds < 90 ? `${Math.ceil(seconds)} s` : `${Math.ceil(seconds / 60)} min`;

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

/** @example `2 h 13 min` */
export function duration(seconds: number): string {
  const whole = Math.ceil(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}
