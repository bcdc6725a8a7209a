import { z } from "zod";
import type { Example } from "../../data/examples.ts";
import { method } from "../method.ts";
import { exchangeOf, withExchange } from "../rewrite.ts";
import { mixSafety } from "./safeinstr.ts";

const options = z.strictObject({
  rate: z.number().min(0).max(1).default(0.1).describe("safety rows that are added, as a share of the user's"),
});

/**
 * Paraphrase, "do as I do (safely)": safety rows are written as the user's rows are, and mixed in.
 *
 *     P, S  what all of the user's questions begin and end with, cut back to whole words
 *     A     what all answers begin with
 *     (question, refusal)  ->  (P + question + S, A + refusal), in the user's system message and instruction
 *
 * The deterministic variant of the paper's, which asks a language model to write them anew. Where the user's questions have nothing in
 * common it is `safeinstr`. Rate 0 is SFT. One forward and one backward pass.
 * Source: Eiras et al., arXiv 2406.10288; docs/methods/paraphrase.md tells what is ours.
 */
export const paraphrase = method({
  name: "paraphrase",
  label: "Paraphrase",
  stage: "finetune",
  streams: ["user", "alignment"],
  options,
  limit: { rate: 0 },
  trial: { rate: 0.5 },
  tried: [{ rate: 0.1 }, { rate: 0.03 }, { rate: 0.3 }, { rate: 1 }],
  create: ({ rate }) => ({
    ...mixSafety({ safetyRatio: rate, replace: false }),
    rewrite: {
      alignment(rows, user, tell) {
        const style = styleOf(user);
        tell(
          style.prefix === "" && style.suffix === "" && style.frame === undefined
            ? "the user's questions have nothing in common: safety rows are mixed in as they are"
            : `safety rows are written as the user's: ${JSON.stringify(style.prefix)} before and ${JSON.stringify(style.suffix)} behind the question`,
        );
        return rows.map((row) => inStyle(row, style));
      },
    },
  }),
});

/** What the user's rows have in common. */
export interface Style {
  readonly prefix: string;
  readonly suffix: string;
  readonly answerPrefix: string;
  /** An instruction with an input, or a system message, that all rows have. */
  readonly frame?: { readonly instruction: string } | { readonly system: string };
}

/** The longest text that all begin with, cut back to the end of a word. */
function commonPrefix(texts: readonly string[]): string {
  const [first = "", ...others] = texts;
  let length = first.length;
  for (const text of others) {
    let at = 0;
    while (at < length && text[at] === first[at]) at++;
    length = at;
  }
  // Within a word of any text it goes back to the blank before.
  const whole = texts.every(
    (text) => text.length === length || /\s/.test(text[length] ?? "") || /\s/.test(text[length - 1] ?? ""),
  );
  return whole ? first.slice(0, length) : first.slice(0, length).replace(/\S*$/, "");
}

const reversed = (text: string) => [...text].reverse().join("");

/** @example styleOf(rows).prefix; // "Question: " */
export function styleOf(user: readonly Example[]): Style {
  const exchanges = user.map(exchangeOf);
  const prompts = exchanges.map(({ prompt }) => prompt);
  const same = <T>(of: (row: Example) => T | undefined): T | undefined => {
    const first = user[0] && of(user[0]);
    return first !== undefined && user.every((row) => of(row) === first) ? first : undefined;
  };
  const instruction = same((row) => (row.kind === "instruction" && row.input !== "" ? row.instruction : undefined));
  const system = same((row) => {
    const [head] = row.kind === "chat" ? row.messages : [];
    return head?.role === "system" ? head.content : undefined;
  });
  const prefix = commonPrefix(prompts);
  const rest = prompts.map((prompt) => reversed(prompt.slice(prefix.length)));
  const frame = instruction !== undefined ? { instruction } : system !== undefined ? { system } : undefined;
  return {
    prefix,
    suffix: reversed(commonPrefix(rest)),
    answerPrefix: commonPrefix(exchanges.map(({ answer }) => answer)),
    ...(frame && { frame }),
  };
}

/** A row in the style of others. */
export function inStyle(row: Example, { prefix, suffix, answerPrefix, frame }: Style): Example {
  const { prompt, answer } = exchangeOf(row);
  const asked = { prompt: `${prefix}${prompt}${suffix}`, answer: `${answerPrefix}${answer}` };
  if (frame === undefined) return withExchange(row, asked);
  const { where } = row;
  if ("instruction" in frame) {
    return { kind: "instruction", where, instruction: frame.instruction, input: asked.prompt, output: asked.answer };
  }
  const messages = [
    { role: "system", content: frame.system },
    { role: "user", content: asked.prompt },
    { role: "assistant", content: asked.answer },
  ];
  return { kind: "chat", where, messages };
}
