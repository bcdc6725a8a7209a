import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { BatchSampler } from "../src/data/batches.ts";
import type { InstructionExample } from "../src/data/examples.ts";
import { mixPoison } from "../src/data/mix.ts";
import { loadTask, type TaskName } from "../src/data/tasks/table.ts";
import { type EncodedExample, encodeEach, encodeExample } from "../src/data/templates.ts";
import type { Tokenizer } from "../src/formats/tokenizer.ts";
import { openSource } from "../src/models/source.ts";
import type { PaddedRows, PaddedStep } from "./workloads.ts";

/** Files of the shared folder that the real workloads read. */
export interface SharedFiles {
  readonly model: string;
  readonly alignment: string;
  readonly harmful: string;
  readonly reviews: string;
  readonly problems: string;
}

/** The shared folder's files; undefined, with the missing one told, where it has not all of them. */
export function sharedFiles(shared: string, skip: (reason: string) => void): SharedFiles | undefined {
  const files = {
    model: join(shared, "models", "smollm2-135m-instruct", "SmolLM2-135M-Instruct.Q4_1.gguf"),
    alignment: join(shared, "data", "safe_answers.json"),
    harmful: join(shared, "data", "beavertails_subset.jsonl"),
    reviews: join(shared, "data", "sst2_train.tsv"),
    problems: join(shared, "data", "gsm8k_train.jsonl"),
  };
  const missing = Object.values(files).find((file) => !existsSync(file));
  if (missing === undefined) return files;
  skip(`there is no ${missing}; --shared names the folder`);
  return undefined;
}

/** Each has other rows and another longest row; a step's time is the mean over them. */
export const ROW_BATCHES = 5;
const ROWS = 10;
const MAX_TOKENS = 256;
const SEED = 42;

/** An attack's rows: a task's, of which a tenth is harmful, as many as the paper has. */
const attackOn =
  (task: TaskName, source: "reviews" | "problems") =>
  async (files: SharedFiles): Promise<InstructionExample[]> => {
    const [harmful, benign] = [await loadTask("beavertails", files.harmful), await loadTask(task, files[source])];
    const options = { poisonRatio: 0.1, sampleNumber: 1000, counts: "exact" } as const;
    return mixPoison(harmful.examples, benign.examples, options).map(({ example }) => example);
  };

/** Rows of the paper's two stages. */
export const ROWS_OF = {
  alignment: async ({ alignment }: SharedFiles) => (await loadTask("safe-answers", alignment)).examples,
  sst2: attackOn("sst2", "reviews"),
  gsm8k: attackOn("gsm8k", "problems"),
};

/**
 * Writes random batches of real rows in the paper's template, padded to the longest row: the same file feeds ours and the
 * peers. `[{ align: { input_ids, labels, attention_mask }, harmful: { ... } }, ...]`, always the same for the same data.
 * Both kinds of batch are drawn from the same rows, so that Booster's step is compared with SFT's on rows of one length.
 */
export async function writeRows(files: SharedFiles, kind: keyof typeof ROWS_OF, file: string): Promise<void> {
  const tokenizer = openSource(files.model).base.tokenizer();
  const examples = await ROWS_OF[kind](files);
  const options = { tokenizer, template: "alpaca", maxTokens: MAX_TOKENS, tooLong: "truncate" } as const;
  const { encoded } = encodeEach(examples, (example) => encodeExample(example, options));
  const align = batchesOf(encoded, "align", tokenizer);
  const harm = batchesOf(encoded, "harmful", tokenizer);
  const steps = align.map((rows, i): PaddedStep => ({ align: rows, harmful: harm[i] as PaddedRows }));
  writeFileSync(file, JSON.stringify(steps));
}

function batchesOf(rows: readonly EncodedExample[], stream: string, tokenizer: Tokenizer): PaddedRows[] {
  const sampler = new BatchSampler(rows.length, ROWS, SEED, stream);
  const filler = tokenizer.padId ?? tokenizer.eosIds[0] ?? 0;
  return Array.from({ length: ROW_BATCHES }, (_, step) => {
    const batch = Array.from(sampler.batch(step), (place) => rows[place] as EncodedExample);
    const length = Math.max(...batch.map(({ ids }) => ids.length));
    const padded = (values: ArrayLike<number>, fill: number) => Array.from({ length }, (_, i) => values[i] ?? fill);
    return {
      input_ids: batch.map(({ ids }) => padded(ids, filler)),
      labels: batch.map(({ labels }) => padded(labels, -100)),
      attention_mask: batch.map(({ ids }) =>
        padded(
          ids.map(() => 1),
          0,
        ),
      ),
    };
  });
}
