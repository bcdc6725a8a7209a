import { z } from "zod";
import { model } from "../../choice.ts";
import type { Example } from "../../data/examples.ts";
import { loadExamples } from "../../data/load.ts";
import { SourceOptions, TemplateOptions } from "../../data/options.ts";
import { encodeEach, encodeExample, refusal } from "../../data/templates.ts";
import { tokenPieces } from "../../data/token-pieces.ts";
import { ConfigKeys } from "../../stages/options.ts";
import { type CommandContext, defineCommand } from "../command.ts";
import { encodingFor } from "../encoding.ts";
import { findHarmful, WITHHELD } from "../harmful-rows.ts";
import { colours, columns } from "../output.ts";
import { describeLengths, lengthSummary, renderTokens } from "../token-view.ts";

const options = SourceOptions.safeExtend({
  model: model(
    z.string().min(1).describe("Model whose tokenizer is used: Hugging Face folder, GGUF file, or hf:org/name"),
  ),
  ...ConfigKeys.shape,
  ...TemplateOptions.shape,
  show: z.int().nonnegative().default(3).describe("Examples that are shown; all are checked"),
  from: z.int().positive().default(1).describe("Number of the first one shown"),
  showHarmful: z.boolean().default(false).describe("Show the text of harmful rows too"),
});
type InspectOptions = z.output<typeof options>;

/** `booster inspect` */
export const command = defineCommand({
  details: `Shows what the model will see: each example as tokens, the trained ones bold green (in \u27e6 \u27e7 without colours), the
others dim. Checks every example: one without a trained token is an error with its line.`,
  examples: [
    "booster inspect rows.jsonl --model models/smollm2.gguf --template chat  # the first three examples of a data set",
    "booster inspect sst2.tsv --task sst2 --model models/tiny --show 1 --from 120  # the 120th example of a known data set",
    "booster inspect rows.jsonl --model models/tiny --show 0 --too-long reject  # only check that all examples fit",
  ],
  options,
  positional: ["path"],
  run: runInspect,
});

async function runInspect(config: InspectOptions, { output }: CommandContext): Promise<void> {
  const encoding = encodingFor(config.model, config);
  const loaded = await loadExamples(config);
  const harmful = await findHarmful(config, loaded);
  const all = encodeEach(loaded.examples, (example) => encodeExample(example, encoding));
  const { encoded: rows, places, refused } = all;
  const lengths = rows.map(({ ids }) => ids.length);
  for (const [row, encoded] of rows.entries()) {
    const index = places[row] as number;
    const number = index + 1;
    if (number < config.from || number >= config.from + config.show) continue;
    const { where, trainedTokens, truncated } = encoded;
    const isHarmful = harmful.has(loaded.examples[index] as Example);
    const pieces = isHarmful && !config.showHarmful ? undefined : tokenPieces(encoding.tokenizer, encoded);
    if (output.json) {
      const facts = { type: "example", number, where, harmful: isHarmful, length: encoded.ids.length };
      console.log(JSON.stringify({ ...facts, trainedTokens, truncated, tokens: pieces }));
    } else {
      const remarks = [isHarmful ? "harmful" : "", truncated ? `cut off at ${encoding.maxTokens}` : ""];
      const head = [`${encoded.ids.length} tokens, ${trainedTokens} trained`, ...remarks].filter((text) => text !== "");
      console.log(`Example ${number}  ${where}  ${head.join(", ")}`);
      console.log(`${pieces === undefined ? WITHHELD : renderTokens(pieces, colours())}\n`);
    }
  }
  const summary = {
    readAs: loaded.readAs,
    recognised: loaded.recognised,
    examples: loaded.examples.length,
    harmful: harmful.size,
    refused: refused.length,
    tokens: lengths.reduce((sum, length) => sum + length, 0),
    trainedTokens: rows.reduce((sum, { trainedTokens }) => sum + trainedTokens, 0),
    truncated: all.truncated,
    length: lengthSummary(lengths),
  };
  const share = (100 * summary.trainedTokens) / Math.max(1, summary.tokens);
  const text = columns([
    ["read as", summary.readAs],
    ["recognised", summary.recognised],
    ["examples", `${summary.examples} (${summary.harmful} harmful, ${summary.refused} refused)`],
    ["tokens", `${summary.tokens}, ${summary.trainedTokens} of them trained (${share.toFixed(1)} %)`],
    ["length", describeLengths(summary.length)],
    ["cut off", `${summary.truncated}`],
  ]);
  if (refused.length > 0) {
    if (!output.json) console.log(text);
    throw refusal(refused, loaded.examples.length);
  }
  output.result(summary, () => text);
}
