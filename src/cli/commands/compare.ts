import { z } from "zod";
import { writeFileAtomic } from "../../formats/atomic-file.ts";
import { compared, comparisonHtml, comparisonMarkdown, comparisonText } from "../../report/index.ts";
import { defineCommand } from "../command.ts";
import { readResult } from "../results.ts";

const RENDERERS = { text: comparisonText, html: comparisonHtml, md: comparisonMarkdown } as const;
type Format = keyof typeof RENDERERS;

/** `booster compare` */
export const command = defineCommand({
  details: `Tells two experiments beside each other: what the same methods, attacks and seeds came to in both, which differences are
certain, and which settings differ. Seeds and questions that both have are compared one by one.`,
  examples: [
    "booster compare runs/before runs/after  # what a change of settings did",
    "booster compare runs/base-0 runs/base-1 --format html --out compare.html  # a page",
  ],
  options: z.strictObject({
    first: z.string().min(1).describe("Result file (JSON), or folder of the first experiment"),
    second: z.string().min(1).describe("Result file (JSON), or folder of the second experiment"),
    format: z
      .enum(Object.keys(RENDERERS) as [Format, ...Format[]])
      .default("text")
      .describe("What to write"),
    out: z.string().min(1).optional().describe("File to write; standard output without it"),
  }),
  positional: ["first", "second"],
  async run({ first, second, format, out }, { output }) {
    const comparison = compared(readResult(first).result, readResult(second).result);
    const text = RENDERERS[format](comparison);
    if (out === undefined) {
      output.result({ ...comparison, format, text }, () => text.replace(/\n$/, ""));
      return;
    }
    writeFileAtomic(out, [Buffer.from(text)]);
    output.result({ format, out }, () => `${out} written`);
  },
});
