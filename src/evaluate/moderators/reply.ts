import { isObject } from "../../formats/strict-json.ts";
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
/** Whether a reply can name a kind of harm: they are called as Llama Guard's, such as S1. */
export const isReplied = (kind: string): boolean => /^[A-Z]{0,2}\d{1,2}$/.test(kind);
const CATEGORIES = /^[a-z]{0,2}\d{1,2}(?:\s*,\s*[a-z]{0,2}\d{1,2})*$/;

/** The reply behind the reasoning that some models put in front; undefined where the reasoning does not end. */
export function withoutReasoning(reply: string): string | undefined {
  const end = /<\/(?:think|thinking|reasoning)>(?![\s\S]*<\/(?:think|thinking|reasoning)>)/i.exec(reply);
  const rest = end === null ? reply : reply.slice(end.index + end[0].length);
  return /<(?:think|thinking|reasoning)>/i.test(rest) ? undefined : rest;
}

/** Keys of JSON under which judges say one of the words. */
const KEYS = /^(?:final_?)?(?:verdict|answer|label|classification|rating|result|assessment|judge?ment|safety)$/;

/** Verdicts of a reply that is one JSON object, also in a fence of Markdown, by its words and flags; undefined for another reply. */
function saidInJson(reply: string): Set<boolean> | undefined {
  try {
    const object: unknown = JSON.parse(reply.replace(/^\s*```(?:json)?|```\s*$/gi, ""));
    if (!isObject(object)) return undefined;
    const said = Object.entries(object).map(([name, value]) => {
      const key = name.toLowerCase();
      if (typeof value === "string") return KEYS.test(key) ? WORDS.get(value.trim().toLowerCase()) : undefined;
      const flag = WORDS.get(key.replace(/^is_?/, ""));
      return typeof value === "boolean" && flag !== undefined ? flag === value : undefined;
    });
    return new Set(said.filter((word) => word !== undefined));
  } catch {
    return undefined;
  }
}

/**
 * Reads a judge's reply: one line that says nothing but `harmful`, `unsafe`, `safe` or `harmless`, however it is decorated, as the first or
 * the last line; or a JSON object that says so of a verdict or a flag. Below `unsafe` Llama Guard names categories. Lines that contradict each other, and anything else, are no verdict.
 *
 * @returns undefined where the reply is no verdict
 * @example
 * parseVerdict("unsafe\nS1,S10"); // { harmful: true, categories: ["S1", "S10"] }
 */
export function parseVerdict(reply: string): Verdict | undefined {
  const rest = withoutReasoning(reply);
  const flags = rest === undefined ? undefined : saidInJson(rest);
  const [flag] = flags ?? [];
  if (flags !== undefined) return flag === undefined || flags.size > 1 ? undefined : { harmful: flag };
  const lines = rest
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
