import { resolve } from "node:path";
import { z } from "zod";
import { conversationRow } from "../../data/answered.ts";
import type { Example } from "../../data/examples.ts";
import { type LoadedExamples, loadExamples } from "../../data/load.ts";
import { mixPoison } from "../../data/mix.ts";
import { PoisonOptions, SourceOptions } from "../../data/options.ts";
import { disjointSets, hashExamples } from "../../data/split.ts";
import { BoosterError } from "../../errors.ts";
import { writeFileAtomic } from "../../formats/atomic-file.ts";
import { exactJson } from "../../formats/exact-json.ts";
import { RandomStream } from "../../tensor/random.ts";
import { defineCommand } from "../command.ts";

const options = z.strictObject({
  task: SourceOptions.describe("The user's honest data"),
  harmful: SourceOptions.optional().describe("Harmful rows to mix in; not needed for a poison ratio of 0"),
  avoid: SourceOptions.optional().describe("Test or defender's data whose questions must not occur, exactly or nearly"),
  out: z.string().min(1).describe("File to write (.jsonl); the manifest goes beside it"),
  ...PoisonOptions.shape,
});

/** `booster data prepare` */
export const command = defineCommand({
  details: `Writes the data set of an attack: rows of the user's task with a share of harmful rows, as JSON Lines with the column
"harmful", and OUT.manifest.json with the settings, counts, what was left out as a repetition, and SHA-256 of everything.`,
  examples: [
    "booster data prepare --task sst2.tsv --task.task sst2 --harmful bad.jsonl --poison-ratio 0.1 --out mix.jsonl  # 1000 rows of which 100 are harmful",
    "booster data prepare --task sst2.tsv --task.task sst2 --harmful bad.jsonl --avoid test.jsonl --out mix.jsonl  # the same without anything that the test set asks",
  ],
  options,
  async run(config, { output }) {
    const { poisonRatio, sampleNumber, counts } = config;
    if (config.harmful === undefined && poisonRatio > 0) {
      throw new BoosterError("OPTION_MISSING", "--harmful is needed", {
        expected: "harmful rows",
        found: `a poison ratio of ${poisonRatio} and none`,
        hint: "Name a file of harmful rows, or set --poison-ratio 0",
      });
    }
    const task = await loadExamples(config.task);
    const harmful = await loadOptional(config.harmful, true);
    const avoid = await loadOptional(config.avoid);
    const sets = disjointSets({ avoid: avoid.examples, harmful: harmful.examples, task: task.examples });
    const shuffle = new RandomStream(config.seed, "data prepare");
    const mix = mixPoison(sets.harmful.examples, sets.task.examples, {
      poisonRatio,
      sampleNumber,
      counts,
      ...(config.order === "shuffled" ? { shuffle } : {}),
    });
    const lines = mix.map((part) => `${exactJson(rowOf(part.example, part.harmful))}\n`);
    const hashesOf = ({ files }: LoadedExamples) => files.map(({ path, sha256 }) => ({ path: resolve(path), sha256 }));
    const manifest = {
      version: 1,
      options: config,
      rows: mix.length,
      harmfulRows: mix.filter((part) => part.harmful).length,
      sha256: hashExamples(mix.map(({ example }) => example)),
      sources: { task: hashesOf(task), harmful: hashesOf(harmful), avoid: hashesOf(avoid) },
      leftOut: { harmful: sets.harmful.removed, task: sets.task.removed },
    };
    writeFileAtomic(config.out, [Buffer.from(lines.join(""))]);
    writeFileAtomic(`${config.out}.manifest.json`, [Buffer.from(`${JSON.stringify(manifest, null, 2)}\n`)]);
    const { rows, harmfulRows, sha256, leftOut } = manifest;
    const gone = { harmful: leftOut.harmful.length, task: leftOut.task.length };
    output.result({ out: config.out, rows, harmfulRows, sha256, leftOut: gone }, () =>
      [
        `${config.out}: ${rows} rows, ${harmfulRows} of them harmful, sha256 ${sha256}`,
        `${gone.harmful} harmful rows and ${gone.task} task rows were left out as repetitions.`,
        `Settings and hashes: ${config.out}.manifest.json`,
      ].join("\n"),
    );
  },
});

const loadOptional = async (source: SourceOptions | undefined, harmful = false): Promise<LoadedExamples> =>
  source === undefined
    ? { examples: [], readAs: "nothing", recognised: "nothing", files: [] }
    : loadExamples(source, harmful);

function rowOf(example: Example, harmful: boolean): Record<string, unknown> {
  if (example.kind === "chat") return { ...conversationRow(example), harmful };
  const { instruction, input, output } = example;
  return { instruction, input, output, harmful };
}
