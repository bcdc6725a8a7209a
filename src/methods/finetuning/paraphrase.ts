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
 *     P, S  what most of the user's questions begin and end with, three quarters at least, cut back to whole words
 *     A     what most answers begin with
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

/** What most of the user's rows have in common. */
export interface Style {
  readonly prefix: string;
  readonly suffix: string;
  readonly answerPrefix: string;
  /** An instruction with an input, or a system message, that most rows have. */
  readonly frame?: { readonly instruction: string } | { readonly system: string };
}

/** Share of the rows that have to have something in common: poisoned ones among them look otherwise. */
const MOST = 0.75;

/** The longest text that most begin with, cut back to the end of a word, and those that do. */
function commonPrefix(
  texts: readonly string[],
  least: number,
): { readonly prefix: string; readonly held: readonly number[] } {
  let held = texts.map((_, i) => i);
  let prefix = "";
  for (;;) {
    const next = new Map<string, number[]>();
    for (const i of held) {
      const letter = texts[i]?.[prefix.length];
      if (letter !== undefined) next.set(letter, [...(next.get(letter) ?? []), i]);
    }
    const [letter, rows] = [...next].reduce((a, b) => (b[1].length > a[1].length ? b : a), ["", [] as number[]]);
    if (letter === "" || rows.length < least) break;
    [prefix, held] = [prefix + letter, rows];
  }
  // Within a word of any text it goes back to the blank before.
  const { length } = prefix;
  const isBlank = (text: string | undefined) => text === undefined || /\s/.test(text);
  const whole = held.every((i) => isBlank(texts[i]?.[length]) || isBlank(texts[i]?.[length - 1]));
  return { prefix: whole ? prefix : prefix.replace(/\S*$/, ""), held };
}

const reversed = (text: string) => [...text].reverse().join("");

/** @example styleOf(rows).prefix; // "Question: " */
export function styleOf(user: readonly Example[]): Style {
  const exchanges = user.map(exchangeOf);
  const prompts = exchanges.map(({ prompt }) => prompt);
  const least = Math.max(1, Math.ceil(MOST * user.length));
  const same = <T>(of: (row: Example) => T | undefined): T | undefined => {
    const counts = new Map<T | undefined, number>();
    for (const row of user) counts.set(of(row), (counts.get(of(row)) ?? 0) + 1);
    return [...counts].find(([, count]) => count >= least)?.[0];
  };
  const instruction = same((row) => (row.kind === "instruction" && row.input !== "" ? row.instruction : undefined));
  const system = same((row) => {
    const [head] = row.kind === "chat" ? row.messages : [];
    return head?.role === "system" ? head.content : undefined;
  });
  const { prefix, held } = commonPrefix(prompts, least);
  const rest = held.map((i) => reversed(prompts[i]?.slice(prefix.length) ?? ""));
  const frame = instruction !== undefined ? { instruction } : system !== undefined ? { system } : undefined;
  return {
    prefix,
    suffix: reversed(commonPrefix(rest, Math.min(least, rest.length)).prefix),
    answerPrefix: commonPrefix(
      exchanges.map(({ answer }) => answer),
      least,
    ).prefix,
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
