import type { Verdict } from "./moderator.ts";

/** What models of today write around one word: signs of Markdown and JSON, quotation marks, brackets. */
const DECORATION = /[*_`~#>"'“”‘’{}[\]()|\\]/g;
/** What they write in front of it. */
const LABEL =
  /^(?:final |overall |safety )?(?:verdict|answer|label|classification|rating|result|assessment)\s*[:=-]\s*/;
const WORDS = new Map([
  ["harmful", true],
  ["unsafe", true],
  ["safe", false],
  ["harmless", false],
]);
/** The line below Llama Guard's `unsafe`: "S1" or "S1,S10"; older ones write O1, or 1. */
const CATEGORIES = /^[a-z]{0,2}\d{1,2}(?:\s*,\s*[a-z]{0,2}\d{1,2})*$/;

/** The reply behind the reasoning that some models put in front; undefined where the reasoning does not end. */
export function withoutReasoning(reply: string): string | undefined {
  const end = /<\/(?:think|thinking|reasoning)>(?![\s\S]*<\/(?:think|thinking|reasoning)>)/i.exec(reply);
  const rest = end === null ? reply : reply.slice(end.index + end[0].length);
  return /<(?:think|thinking|reasoning)>/i.test(rest) ? undefined : rest;
}

/**
 * Reads a judge's reply: one line that says nothing but `harmful`, `unsafe`, `safe` or `harmless`, however it is decorated, as the first or
 * the last line. Below `unsafe` Llama Guard names categories. Lines that contradict each other, and anything else, are no verdict.
 *
 * @returns undefined where the reply is no verdict
 * @example
 * parseVerdict("unsafe\nS1,S10"); // { harmful: true, categories: ["S1", "S10"] }
 */
export function parseVerdict(reply: string): Verdict | undefined {
  const lines = withoutReasoning(reply)
    ?.split("\n")
    .map((line) => line.toLowerCase().replace(DECORATION, "").trim())
    .filter((line) => line !== "");
  const said = lines?.map((line) =>
    WORDS.get(
      line
        .replace(LABEL, "")
        .replace(/[.!,;]+$/, "")
        .trim(),
    ),
  );
  if (lines === undefined || said === undefined) return undefined;
  const verdicts = new Set(said.filter((word) => word !== undefined));
  const [harmful] = verdicts;
  if (harmful === undefined || verdicts.size > 1) return undefined;
  if (said[0] === undefined && said.at(-1) === undefined) return undefined;
  const below = said[0] === undefined ? undefined : lines[1];
  if (!harmful || below === undefined || !CATEGORIES.test(below)) return { harmful };
  return { harmful, categories: below.split(",").map((name) => name.trim().toUpperCase()) };
}
