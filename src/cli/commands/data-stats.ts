import { z } from "zod";
import { model } from "../../choice.ts";
import { findDuplicates } from "../../data/duplicates.ts";
import { type Example, questionOf } from "../../data/examples.ts";
import { loadExamples } from "../../data/load.ts";
import { poisonShare } from "../../data/mix.ts";
import { SourceOptions, TemplateOptions } from "../../data/options.ts";
import { hashExamples } from "../../data/split.ts";
import { encodeEach, encodeExample } from "../../data/templates.ts";
import { ConfigKeys } from "../../stages/options.ts";
import { defineCommand } from "../command.ts";
import { encodingFor } from "../encoding.ts";
import { findHarmful } from "../harmful-rows.ts";
import { columns } from "../output.ts";
import { describeLengths, lengthSummary } from "../token-view.ts";

const options = SourceOptions.safeExtend({
  model: model(z.string().min(1))
    .optional()
    .describe("Model whose tokenizer counts tokens; without it only rows are counted"),
  ...ConfigKeys.shape,
  ...TemplateOptions.shape,
});
type StatsOptions = z.output<typeof options>;

/** `booster data stats` */
export const command = defineCommand({
  details: `Counts a data set: files with their SHA-256, examples, repeated questions (exact and near), harmful rows, and with
--model lengths in tokens and the share of the trained tokens that is poison.`,
  examples: [
    "booster data stats mix.jsonl --model models/smollm2.gguf --template chat  # what the loss will see of a mix",
    "booster data stats sst2_train.tsv --task sst2 --json  # the same for a program",
  ],
  options,
  positional: ["path"],
  async run(config, { output }) {
    const loaded = await loadExamples(config);
    const harmful = await findHarmful(config, loaded);
    const repeated = findDuplicates(loaded.examples.map(questionOf));
    const stats = {
      readAs: loaded.readAs,
      recognised: loaded.recognised,
      files: loaded.files.map(({ path, kind, bytes, sha256, rows }) => ({ path, kind, bytes, sha256, rows })),
      examples: loaded.examples.length,
      sha256: hashExamples(loaded.examples),
      harmful: harmful.size,
      duplicates: {
        exact: repeated.filter(({ similarity }) => similarity === 1).length,
        near: repeated.filter(({ similarity }) => similarity < 1).length,
      },
    };
    const tokens = config.model === undefined ? undefined : countTokens(config.model, config, loaded.examples, harmful);
    output.result({ ...stats, ...(tokens && { tokens }) }, () =>
      columns([
        ...stats.files.map((file) => ["file", `${file.path}  ${file.kind}, ${file.rows} rows, sha256 ${file.sha256}`]),
        ["read as", stats.readAs],
        ["recognised", stats.recognised],
        ["examples", `${stats.examples}, sha256 ${stats.sha256}`],
        ["harmful", `${stats.harmful} rows (${percent(stats.harmful / Math.max(1, stats.examples))})`],
        ["repeated", `${stats.duplicates.exact} exactly, ${stats.duplicates.near} nearly`],
        ...(tokens === undefined ? [] : describeTokens(tokens)),
      ]),
    );
  },
});

function countTokens(model: string, config: StatsOptions, examples: readonly Example[], harmful: ReadonlySet<Example>) {
  const encoding = encodingFor(model, config);
  const { encoded, refused, truncated } = encodeEach(examples, (example) => encodeExample(example, encoding));
  const places = new Set([...harmful].map(({ where }) => where));
  return {
    ...poisonShare(encoded.map((example) => ({ example, harmful: places.has(example.where) }))),
    length: lengthSummary(encoded.map(({ ids }) => ids.length)),
    truncated,
    refused: refused.map(({ code, details }) => ({ where: details.where, code })),
  };
}

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;

function describeTokens({ length, truncated, refused, ...tokens }: ReturnType<typeof countTokens>): string[][] {
  const { trainedTokens, harmfulTokens, tokenShare } = tokens;
  const first = refused.slice(0, 1).map(({ where, code }) => `, first: ${where} ${code}`);
  return [
    ["trained", `${trainedTokens} tokens, ${harmfulTokens} of them harmful (${percent(tokenShare)})`],
    ["length", describeLengths(length)],
    ["cut off", `${truncated}`],
    ["refused", `${refused.length}${first.join("")}`],
  ];
}
