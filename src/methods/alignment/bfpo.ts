import { z } from "zod";
import { dim, ops, type Tensor, type Tree, tree, valueAndGrad } from "../../autodiff/index.ts";
import type { Example } from "../../models/index.ts";
import { partOf } from "../../models/index.ts";
import { type HostTensor, tensor } from "../../tensor/tensor.ts";
import { method, type StepContext } from "../method.ts";
import { copy } from "../state.ts";
import { answerLogProbability, labelledTokens } from "../tokens.ts";
import type { Pairs } from "./tar/losses.ts";

const { add, div, mul, sub } = ops;

const options = z.strictObject({
  beta: z
    .number()
    .positive()
    .default(0.01)
    .describe("how far a margin of 1 is: targets are divided by it (the paper's β)"),
  b1: z.number().gt(1).default(3).describe("how much more the safety of the chosen answer counts (the paper's B1)"),
  alpha: z.number().default(0.5).describe("what is taken off every target (the paper's α)"),
  referenceFree: z
    .boolean()
    .default(false)
    .describe("leave out the model at the start, as if it gave every answer alike"),
  buffer: z
    .boolean()
    .default(true)
    .describe("beside each batch of pairs one of harmless pairs, whose answers are both safe, with the same weight"),
  selective: z
    .boolean()
    .default(true)
    .describe("in full tuning train the feed-forward's down projections alone; LoRA trains where its factors stand"),
});
type BfpoOptions = z.infer<typeof options>;

/** Two streams of answers to the same prompts, and the input that says which of their answers are safe. */
const SETS = [
  { chosen: "chosen", rejected: "rejected" },
  { chosen: "bufferChosen", rejected: "bufferRejected" },
] as const;

/** Whether the answers of each pair are safe, 0 or 1: `[pairs]`. */
export interface Safety {
  readonly chosen: Tensor;
  readonly rejected: Tensor;
}

/**
 * The margin that a pair ought to have, from the safety of its answers:
 *
 *     g = B3 (B1 s_c - s_r) - α,  B3 = 1 / (B1 - 1)
 */
export const bfpoTarget = ({ chosen, rejected }: Safety, { b1, alpha }: Pick<BfpoOptions, "b1" | "alpha">): Tensor =>
  sub(div(sub(mul(chosen, b1), rejected), b1 - 1), alpha);

/**
 * `(z - g / β)²` of each pair, z how much more the model has gained on the chosen answer than on the rejected one; `[pairs]`.
 *
 * Source: Zhang et al., arXiv 2408.15313, and the authors' code.
 */
export function bfpoLosses(
  { chosen, rejected, referenceChosen, referenceRejected }: Pairs,
  safety: Safety,
  chosenOptions: Pick<BfpoOptions, "beta" | "b1" | "alpha" | "referenceFree">,
): Tensor {
  const margin = sub(chosen, rejected);
  const gained = chosenOptions.referenceFree ? margin : sub(margin, sub(referenceChosen, referenceRejected));
  const off = sub(gained, div(bfpoTarget(safety, chosenOptions), chosenOptions.beta));
  return mul(off, off);
}

/**
 * BFPO: preferences over pairs of answers whose order is that of helpfulness, corrected by the safety of both.
 *
 *     z = log π(y_c) / π(y_r) - log π_0(y_c) / π_0(y_r)       summed over the answers' tokens, π_0 the model at the start
 *     g = B3 (B1 s_c - s_r) - α                               s 1 for a safe answer, 0 for another
 *     G = ∇ [mean (z - g / β)² over pairs + the same over pairs of a buffer, all of them safe]
 *
 * With B1 = 3, α = 1/2 the targets are 1 (safe before unsafe), 1/2 (both safe), -1/2 (neither) and -1 (unsafe before safe): the last
 * two turn the order round. g = 1/2 throughout would be IPO. Eight forward and four backward passes, half of that without the buffer.
 * Source: Zhang et al., arXiv 2408.15313; docs/methods/bfpo.md compares it with the authors' code.
 */
export const bfpo = method({
  name: "bfpo",
  label: "BFPO",
  stage: "align",
  streams: ["chosen", "rejected", "bufferChosen", "bufferRejected"],
  options,
  tried: [{ beta: 0.1 }, { beta: 0.03 }, { beta: 0.01 }, { beta: 0.3 }],
  masked: true,
  state: { reference: copy("weights") },
  create: (chosen) => {
    const sets = chosen.buffer ? SETS : SETS.slice(0, 1);
    return {
      passes: { forward: 4 * sets.length, backward: 2 * sets.length },
      streams: sets.flatMap((set) => [set.chosen, set.rejected]),
      schedule: {
        inputs: () =>
          Object.fromEntries(
            sets.flatMap((set) =>
              Object.values(set).map((stream) => [
                safeOf(stream),
                { dtype: "float32", shape: [dim(`bfpo.${set.chosen}`)] },
              ]),
            ),
          ),
        calls: (step, { batch }) => [
          {
            // The two answers of a pair stand in the same place of their streams.
            rows: Object.fromEntries(
              sets.flatMap((set) => Object.values(set).map((stream) => [stream, batch(set.chosen, step)])),
            ),
            inputs: (batches) =>
              Object.fromEntries(Object.entries(batches).map(([stream, rows]) => [safeOf(stream), safetyOf(rows)])),
          },
        ],
      },
      step(context) {
        const tuned = chosen.selective ? selected(context) : context.weights;
        const metrics: Record<string, Tensor> = {};
        const { value, grad } = valueAndGrad((w) => {
          const losses = sets.map((set) => {
            const { loss, margin } = pairLoss(context, { ...context.weights, ...w }, set, chosen);
            Object.assign(metrics, { [`${set.chosen}Loss`]: loss, [`${set.chosen}Margin`]: margin });
            return loss;
          });
          return losses.reduce((a, b) => add(a, b));
        })(tuned);
        return {
          gradient: tree.mapTree(context.weights, (w, name) => grad[name] ?? mul(w, 0)),
          active: tree.mapTree(context.weights, (_, name) => ops.constant(name in tuned ? 1 : 0)),
          metrics: { loss: value, ...metrics },
        };
      },
    };
  },
});

const safeOf = (stream: string): string => `${stream}Safe`;

const safetyOf = (rows: readonly Example[]): HostTensor<"float32"> =>
  tensor(
    "float32",
    [rows.length],
    rows.map(({ safe }) => Number(safe)),
  );

/** Of whole weights the down projections; of LoRA factors all. */
const selected = ({ weights, model }: Pick<StepContext, "weights" | "model">): Tree =>
  Object.fromEntries(
    Object.entries(weights).filter(([name]) => !model.weights.has(name) || partOf(model, name).role === "down"),
  );

function pairLoss(
  context: StepContext<{ reference: ReturnType<typeof copy> }>,
  weights: Tree,
  set: (typeof SETS)[number],
  chosen: BfpoOptions,
) {
  const safety = {
    chosen: context.inputs[safeOf(set.chosen)] as Tensor,
    rejected: context.inputs[safeOf(set.rejected)] as Tensor,
  };
  const answers = (at: Tree, stream: string) =>
    answerLogProbability(labelledTokens(context, at, stream), safety.chosen.dim(0));
  const { reference } = context.state;
  const pairs = {
    chosen: answers(weights, set.chosen),
    rejected: answers(weights, set.rejected),
    referenceChosen: answers(reference, set.chosen),
    referenceRejected: answers(reference, set.rejected),
  };
  return {
    loss: ops.mean(bfpoLosses(pairs, safety, chosen)),
    margin: ops.mean(sub(pairs.chosen, pairs.rejected)),
  };
}
