import { dirname } from "node:path";
import { z } from "zod";
import { writeFileAtomic } from "../../formats/atomic-file.ts";
import {
  merged,
  renderCsv,
  renderHtml,
  renderJson,
  renderLatex,
  renderMarkdown,
  renderTerminalTable,
} from "../../report/index.ts";
import { defineCommand } from "../command.ts";
import { readResult } from "../results.ts";

const RENDERERS = {
  text: renderTerminalTable,
  html: renderHtml,
  md: renderMarkdown,
  csv: renderCsv,
  latex: renderLatex,
  json: renderJson,
} as const;
type Format = keyof typeof RENDERERS;

/** `booster report` */
export const command = defineCommand({
  details: `Renders the result of an experiment again, or those of several as one: more seeds, attacks or methods, base models from other
pretraining seeds, other tasks. Nothing is computed but the tables and the drawings.`,
  examples: [
    "booster report runs/demo --format html --out report.html  # a page that needs nothing else",
    "booster report runs/demo/result.json --format latex  # a table for a paper, on standard output",
    "booster report runs/base-0 runs/base-1 runs/base-2  # one report over three base models",
  ],
  options: z.strictObject({
    result: z
      .array(z.string().min(1))
      .min(1)
      .describe("Result files (JSON), or folders of experiments; several are told as one"),
    format: z
      .enum(Object.keys(RENDERERS) as [Format, ...Format[]])
      .default("text")
      .describe("What to write"),
    out: z.string().min(1).optional().describe("File to write; standard output without it"),
  }),
  positional: ["result"],
  async run({ result: paths, format, out }, { output }) {
    const from = out === undefined ? undefined : dirname(out);
    const text = RENDERERS[format](merged(paths.map((path) => readResult(path, from))));
    if (out === undefined) {
      output.result({ format, text }, () => text.replace(/\n$/, ""));
      return;
    }
    writeFileAtomic(out, [Buffer.from(text)]);
    output.result({ format, out }, () => `${out} written`);
  },
});
