import { closeSync, existsSync, fstatSync, openSync, readSync } from "node:fs";

/** What the service calls what a run's metrics hold. */
const NAMES: Readonly<Record<string, string>> = {
  loss: "train_loss",
  learningRate: "learning_rate",
  skipped: "skipped",
  trainAccuracy: "train_mean_token_accuracy",
  validLoss: "valid_loss",
  validAccuracy: "valid_mean_token_accuracy",
  fullValidLoss: "full_valid_loss",
  fullValidAccuracy: "full_valid_mean_token_accuracy",
  harmfulTestingLoss: "harmful_loss",
  harmfulTotal: "harmful_total",
};

/** Values of a step, by the names that clients know. */
export type StepValues = Readonly<Record<string, number>> & { readonly step: number };

function valuesOf(row: Readonly<Record<string, unknown>>): Record<string, number> {
  const named = Object.entries(row).flatMap(([name, value]) =>
    NAMES[name] !== undefined && typeof value === "number" ? [[NAMES[name], value] as const] : [],
  );
  const { harmfulCount: harmful, harmfulTotal: asked } = row;
  const score = typeof harmful === "number" && typeof asked === "number" && asked > 0 ? harmful / asked : undefined;
  return { ...Object.fromEntries(named), ...(score === undefined ? {} : { harmful_score: score }) };
}

/**
 * Follows the metrics of a run while it writes them. A step is handed on once it is whole: what is measured after it stands behind it, before
 * the next one.
 */
export class MetricsTail {
  private offset = 0;
  private rest = "";
  private pending: StepValues | undefined;

  constructor(private readonly path: string) {}

  /** Steps that are whole since the last call; with `all`, the last one too. */
  next(all = false): StepValues[] {
    const whole: StepValues[] = [];
    const lines = (this.rest + this.read()).split("\n");
    this.rest = lines.pop() ?? "";
    for (const line of lines) {
      const row = JSON.parse(line) as Readonly<Record<string, unknown>>;
      const step = Number(row.step);
      if (row.kind === "step" && this.pending !== undefined) whole.push(this.pending);
      // What is measured before the first step is a step of its own: what training began from.
      if (row.kind === "step" || (step === 0 && this.pending === undefined)) this.pending = { step, ...valuesOf(row) };
      else if (this.pending?.step === step) this.pending = { ...this.pending, ...valuesOf(row), step };
    }
    if (all && this.pending !== undefined) {
      whole.push(this.pending);
      this.pending = undefined;
    }
    return whole;
  }

  private read(): string {
    if (!existsSync(this.path)) return "";
    const fd = openSync(this.path, "r");
    try {
      const { size } = fstatSync(fd);
      const bytes = Buffer.alloc(Math.max(0, size - this.offset));
      const read = readSync(fd, bytes, 0, bytes.length, this.offset);
      this.offset += read;
      return bytes.subarray(0, read).toString("utf8");
    } finally {
      closeSync(fd);
    }
  }
}
