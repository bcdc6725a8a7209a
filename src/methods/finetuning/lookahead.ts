import { z } from "zod";
import { valueAndGrad } from "../../autodiff/index.ts";
import type { Example } from "../../data/examples.ts";
import type { Tokenizer } from "../../formats/tokenizer.ts";
import { method } from "../method.ts";
import { exchangeOf, withExchange } from "../rewrite.ts";

const options = z.strictObject({
  mode: z
    .enum(["real", "virtual"])
    .default("real")
    .describe("tell the first tokens of the answer in the question, or let every answer begin with one phrase"),
  tokens: z.int().min(0).default(6).describe("tokens of the answer that are told in mode real (the paper's m)"),
  connector: z
    .string()
    .default("The answer begins with:")
    .describe("what stands between the question and what is told of the answer"),
  phrase: z
    .string()
    .min(1)
    .default("Let's solve this problem.")
    .describe("what answers begin with in mode virtual (the paper's P)"),
});
type LookaheadOptions = z.infer<typeof options>;

/**
 * LookAhead Tuning: plain fine-tuning on rows whose questions already tell how the answer begins, so that the first tokens, on which
 * refusals hang, are learned less.
 *
 *     real     question + connector + first m tokens of the answer, answer
 *     virtual  question + connector + P, P + answer
 *
 * Questions to the trained model stay as they are. m = 0 is SFT. One forward and one backward pass.
 * Source: Liu et al., arXiv 2503.19041; docs/methods/lookahead.md.
 */
export const lookahead = method({
  name: "lookahead",
  label: "LookAhead Tuning",
  stage: "finetune",
  streams: ["user"],
  options,
  limit: { tokens: 0 },
  tried: [{ tokens: 6 }, { tokens: 2 }, { tokens: 12 }, { mode: "virtual", phrase: "the answer is" }],
  create: (chosen) => ({
    passes: { forward: 1, backward: 1 },
    rewrite: { user: (row, tokenizer) => lookedAhead(row, tokenizer, chosen) },
    step({ weights, loss }) {
      const { value, grad } = valueAndGrad((w) => loss(w, "user"))(weights);
      return { gradient: grad, metrics: { loss: value } };
    },
  }),
});

/** A row with what its question tells of the answer. */
export function lookedAhead(
  row: Example,
  tokenizer: Pick<Tokenizer, "encodeSegments" | "decode">,
  { mode, tokens, connector, phrase }: LookaheadOptions,
): Example {
  const { prompt, answer } = exchangeOf(row);
  if (mode === "virtual") {
    return withExchange(row, { prompt: `${prompt} ${connector} ${phrase}`, answer: `${phrase} ${answer}` });
  }
  if (tokens === 0 || answer === "") return row;
  const ids = tokenizer.encodeSegments([{ text: answer, trusted: false }]);
  const told = tokenizer.decode([...ids].slice(0, tokens));
  return withExchange(row, { prompt: `${prompt} ${connector} ${told.trim()}`, answer });
}
