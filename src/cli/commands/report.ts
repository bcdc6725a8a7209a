import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { BoosterError } from "../../errors.ts";
import { writeFileAtomic } from "../../formats/atomic-file.ts";
import {
  parseResult,
  renderCsv,
  renderHtml,
  renderJson,
  renderLatex,
  renderMarkdown,
  renderTerminalTable,
} from "../../report/index.ts";
import { defineCommand } from "../command.ts";

const RENDERERS = {
  text: renderTerminalTable,
  html: renderHtml,
  md: renderMarkdown,
  csv: renderCsv,
  latex: renderLatex,
  json: renderJson,
} as const;
type Format = keyof typeof RENDERERS;

/** What an experiment calls its result in its folder. */
const RESULT_FILE = "result.json";

function readResult(path: string): unknown {
  const file = statSync(path, { throwIfNoEntry: false })?.isDirectory() === true ? join(path, RESULT_FILE) : path;
  try {
    return JSON.parse(readFileSync(file, "utf8"));
  } catch (cause) {
    const missing = (cause as NodeJS.ErrnoException).code !== undefined;
    throw new BoosterError(missing ? "RESULT_NOT_FOUND" : "RESULT_INVALID", "the result cannot be read", {
      expected: `the JSON file that an experiment wrote, or its folder with ${RESULT_FILE}`,
      found: cause instanceof Error ? cause.message : String(cause),
      where: file,
      cause,
    });
  }
}

/** `booster report` */
export const command = defineCommand({
  details: "Renders the result of an experiment again: nothing is computed but the tables and the drawings.",
  examples: [
    "booster report runs/demo --format html --out report.html  # a page that needs nothing else",
    "booster report runs/demo/result.json --format latex  # a table for a paper, on standard output",
  ],
  options: z.strictObject({
    result: z.string().min(1).describe("Result file (JSON), or the folder of the experiment"),
    format: z
      .enum(Object.keys(RENDERERS) as [Format, ...Format[]])
      .default("text")
      .describe("What to write"),
    out: z.string().min(1).optional().describe("File to write; standard output without it"),
  }),
  positional: ["result"],
  async run({ result: path, format, out }, { output }) {
    const text = RENDERERS[format](parseResult(readResult(path), path));
    if (out === undefined) {
      output.result({ format, text }, () => text.replace(/\n$/, ""));
      return;
    }
    writeFileAtomic(out, [Buffer.from(text)]);
    output.result({ format, out }, () => `${out} written`);
  },
});
