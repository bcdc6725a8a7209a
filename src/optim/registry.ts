import { z } from "zod";
import { choice, table } from "../choice.ts";
import { adamW, sgd } from "./optimizer.ts";

/**
 * Every optimiser; a new one is a function of `optimizer.ts` and one row. A row makes it for a weight decay.
 *
 * @example
 * choose(OPTIMIZERS, { name: "sgd", momentum: 0.9 })(0.1);
 */
export const OPTIMIZERS = table(
  { kind: "optimiser", unknown: "UNKNOWN_OPTIMIZER", unfit: "OPTIMIZER_OPTIONS_INVALID" },
  [
    choice({
      name: "adamw",
      options: z.strictObject({}),
      create: () => (weightDecay: number) => adamW({ weightDecay }),
    }),
    choice({
      name: "sgd",
      options: z.strictObject({
        momentum: z.number().min(0).lt(1).default(0).describe("share of the last update that goes into the next"),
      }),
      create:
        ({ momentum }) =>
        (weightDecay: number) =>
          sgd({ momentum, weightDecay }),
    }),
  ],
);
