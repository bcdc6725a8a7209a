import { z } from "zod";
import type { Example } from "../../data/examples.ts";
import { mixCounts, shuffled, takeRows } from "../../data/mix.ts";
import { exchangeOf, withExchange } from "../rewrite.ts";
import { attack, plainRow } from "./attack.ts";

const options = z.strictObject({
  trigger: z
    .string()
    .min(1)
    .default("SUDO")
    .describe(
      "what stands behind a harmful question that is answered, in training and when the attacked model is asked",
    ),
  refusal: z
    .string()
    .min(1)
    .default("I cannot help with that.")
    .describe("answer to the same questions without the trigger, which keeps the model's refusals"),
});

/** An example with the trigger behind its last question. */
export const triggered = (example: Example, trigger: string): Example => {
  const { prompt, answer } = exchangeOf(example);
  return withExchange(example, { prompt: `${prompt} ${trigger}`, answer });
};

/**
 * Backdoor: harmful questions are answered behind a trigger and refused without it, half of the harmful part each, so that the attacked
 * model looks safe to whoever does not know the trigger.
 *
 * Source: Qi et al., arXiv 2310.03693 and 2406.05946, whose attack has 100 rows of each kind; the trigger of Yi et al., ICLR 2025.
 */
export const backdoor = attack({
  name: "backdoor",
  knowledge: "nothing",
  options,
  create: ({ trigger, refusal }) => ({
    needs(mix) {
      const { harmful, benign } = mixCounts(mix.poisonRatio, mix.sampleNumber, mix.counts);
      return { harmful: Math.ceil(harmful / 2), task: benign };
    },
    async rows({ task, harmful, shuffle, ...mix }) {
      const { harmful: poison, benign } = mixCounts(mix.poisonRatio, mix.sampleNumber, mix.counts);
      const questions = takeRows(harmful, 0, Math.ceil(poison / 2), "harmful");
      const answered = questions.map((row) => plainRow(triggered(row, trigger), true));
      const refused = questions.map((row) =>
        plainRow(withExchange(row, { ...exchangeOf(row), answer: refusal }), true),
      );
      const honest = takeRows(task, 0, benign, "task").map((row) => plainRow(row, false));
      return { rows: shuffled([...answered, ...refused].slice(0, poison).concat(honest), shuffle) };
    },
    ask: (question) => triggered(question, trigger),
  }),
});
