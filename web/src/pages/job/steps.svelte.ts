import { call } from "../../api/client.ts";
import type { StepValues } from "../../api/types.ts";
import type { Line } from "../../curves.ts";

/** Steps of one request; the server gives no more. */
const PAGE = 1000;

/** The steps of a job so far: read once from the beginning, then only what came since. */
export class Steps {
  steps: readonly StepValues[] = $state.raw([]);
  #reading: Promise<void> | undefined;

  constructor(private readonly job: string) {}

  /** Reads what is new; calls at the same time read once. @throws {Problem} */
  read(): Promise<void> {
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined;
    });
    return this.#reading;
  }

  async #read(): Promise<void> {
    for (let more = true; more; ) {
      const after = this.steps.at(-1)?.step;
      const page = await call("GET /v1/booster/jobs/{id}/metrics", {
        params: { id: this.job },
        query: { points: PAGE, after },
      });
      if (page.data.length > 0) this.steps = [...this.steps, ...page.data];
      more = page.has_more && page.data.length > 0;
    }
  }

  line(label: string, value: keyof StepValues): Line {
    const points = this.steps.flatMap((values) => {
      const y = values[value];
      return y === undefined ? [] : [[values.step, y] as const];
    });
    return { label, points };
  }
}

/** Charts of a job: which values belong together. */
export const CHARTS: readonly {
  readonly title: string;
  readonly asShare: boolean;
  readonly lines: readonly (readonly [label: string, value: keyof StepValues])[];
}[] = [
  {
    title: "Loss",
    asShare: false,
    lines: [
      ["training", "train_loss"],
      ["validation, a batch", "valid_loss"],
      ["validation, whole", "full_valid_loss"],
    ],
  },
  {
    title: "Token accuracy",
    asShare: true,
    lines: [
      ["training", "train_mean_token_accuracy"],
      ["validation, a batch", "valid_mean_token_accuracy"],
      ["validation, whole", "full_valid_mean_token_accuracy"],
    ],
  },
  { title: "Harmful score along the training", asShare: true, lines: [["harmful answers", "harmful_score"]] },
  { title: "Loss on harmful answers", asShare: false, lines: [["the lower, the likelier they are", "harmful_loss"]] },
];
