import { z } from "zod";
import { choice, table } from "../choice.ts";
import { adamW, scheduleFreeAdamW, sgd } from "./optimizer.ts";

const beta = z.number().min(0).lt(1).optional();
const BETAS = {
  beta1: beta.describe("how slowly the mean of the gradients changes; 0.9 by default"),
  beta2: beta.describe("how slowly the mean of their squares changes; 0.999 by default"),
};
const given = ({ beta1, beta2 }: { readonly beta1?: number | undefined; readonly beta2?: number | undefined }) => ({
  ...(beta1 !== undefined && { beta1 }),
  ...(beta2 !== undefined && { beta2 }),
});

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
      options: z.strictObject(BETAS),
      create: (betas) => (weightDecay: number) => adamW({ ...given(betas), weightDecay }),
    }),
    choice({
      name: "schedule-free-adamw",
      options: z.strictObject({
        ...BETAS,
        publish: z
          .enum(["average", "last"])
          .default("average")
          .describe("hand out the average of the fast points, or the weights that the last gradient was taken at"),
      }),
      create:
        ({ publish, ...betas }) =>
        (weightDecay: number) =>
          scheduleFreeAdamW({ ...given(betas), weightDecay, average: publish === "average" }),
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
