import { z } from "zod";
import { valueAndGrad } from "../../autodiff/index.ts";
import { type Example, IGNORE } from "../../models/index.ts";
import { RandomStream } from "../../tensor/random.ts";
import { method } from "../method.ts";
import { answerStart } from "./deep-augmentation.ts";

const options = z.strictObject({
  redrawn: z
    .boolean()
    .default(false)
    .describe("draw another answer for a prompt in each step, where one is drawn for all"),
});

/**
 * SDD, self-degraded defence: a harmful prompt is answered with a good answer to another, harmless question. A harmful fine-tuning
 * has to undo this, and with it what the model can do.
 *
 *     G = ∇f(w), f the loss on harmful prompts with answers to harmless ones, drawn at random
 *
 * Prompts are those of the harmful rows, whose answers are not read. One forward and one backward pass.
 * Source: Chen et al., arXiv 2507.21182; docs/methods/sdd.md tells what is ours.
 */
export const sdd = method({
  name: "sdd",
  label: "SDD",
  stage: "align",
  streams: ["harmful", "general"],
  options,
  tried: [{}, { redrawn: true }, ...[1e-3, 4e-3].map((learningRate) => ({ align: { learningRate } }))],
  create: ({ redrawn }) => ({
    passes: { forward: 1, backward: 1 },
    schedule: {
      readers: ({ harmful = [], general = [] }, seed) => ({
        harmful(row, step) {
          const random = new RandomStream(seed, "sdd");
          const drawn = random.integer(redrawn ? step * harmful.length + row : row, general.length);
          return answeredBy(harmful[row] as Example, general[drawn] as Example);
        },
      }),
    },
    step({ weights, loss }) {
      const { value, grad } = valueAndGrad((w) => loss(w, "harmful"))(weights);
      return { gradient: grad, metrics: { loss: value } };
    },
  }),
});

/** The prompt of one row with the answer of another, which alone is learned. */
export function answeredBy(prompt: Example, answer: Example): Example {
  const asked = Array.from(prompt.inputIds).slice(0, answerStart(prompt));
  const start = answerStart(answer);
  const [ids, labels] = [Array.from(answer.inputIds).slice(start), Array.from(answer.labels).slice(start)];
  return { inputIds: [...asked, ...ids], labels: [...asked.map(() => IGNORE), ...labels] };
}
