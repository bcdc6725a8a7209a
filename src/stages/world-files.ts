import { join } from "node:path";
import { labelledRows } from "../data/world/labelled.ts";
import {
  harmfulPairs,
  harmfulRows,
  harmlessPairs,
  harmlessRows,
  refusalRows,
  sentimentRows,
  type WorldRow,
  wholeInstruction,
} from "../data/world/rows.ts";
import { SPECIAL_TOKENS, worldTokenizerConfig, worldTokenizerJson } from "../data/world/tokenizer.ts";
import { makeFolder, writeFileAtomic } from "../formats/atomic-file.ts";
import { WORLD_RECIPE } from "./world-recipe.ts";

/** The world's prompt as a chat template: what `worldPrompt` writes, with `<bos>` in front and `<eos>` after an answer. */
const CHAT_TEMPLATE =
  "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}{{ 'Q: ' + message['content'] + ' A:' }}" +
  "{% else %}{{ ' ' + message['content'] + eos_token }}{% endif %}{% endfor %}";

/** The tokenizer's files in Hugging Face's layout. */
export function worldTokenizerFiles(): Map<string, Uint8Array> {
  const file = (content: unknown) => Buffer.from(`${JSON.stringify(content, undefined, 1)}\n`);
  return new Map([
    ["tokenizer.json", file(worldTokenizerJson())],
    ["tokenizer_config.json", file({ ...worldTokenizerConfig(), chat_template: CHAT_TEMPLATE })],
    ["generation_config.json", file({ eos_token_id: Object.keys(SPECIAL_TOKENS).indexOf("eos") })],
  ]);
}

/** How the demo's files are called; `{seed}` stands for the seed of a run. */
export const WORLD_FILES = {
  alignment: "alignment-{seed}.jsonl",
  harmful: "harmful-{seed}.jsonl",
  general: "general-{seed}.jsonl",
  pairs: "pairs-{seed}.jsonl",
  bufferPairs: "buffer-pairs-{seed}.jsonl",
  attack: "attack-{seed}.jsonl",
  reviews: "reviews-{seed}.jsonl",
  labelled: "labelled-{seed}.jsonl",
  validationHarmful: "validation-harmful.jsonl",
  validationHarmless: "validation-harmless.jsonl",
  validationReviews: "validation-reviews.jsonl",
  testHarmful: "test-harmful.jsonl",
  testRefusals: "test-refusals.jsonl",
  testHarmless: "test-harmless.jsonl",
  testReviews: "test-reviews.jsonl",
  testLabelled: "test-labelled.jsonl",
} as const;

/**
 * Writes the demo's data sets as JSON Lines.
 *
 * @example
 * writeWorldData("demo/data", [0, 1, 2]);
 */
export function writeWorldData(folder: string, seeds: readonly number[]): void {
  const { rows, testSeed } = WORLD_RECIPE;
  makeFolder(folder);
  const writeLines = (name: string, list: readonly object[]) => {
    const lines = list.map((row) => `${JSON.stringify(row)}\n`);
    writeFileAtomic(join(folder, name), [Buffer.from(lines.join(""))]);
  };
  const write = (name: string, list: readonly WorldRow[]) =>
    writeLines(
      name,
      list.map((row) => ({ instruction: wholeInstruction(row), output: row.output })),
    );
  for (const seed of seeds) {
    const named = (name: string) => name.replace("{seed}", String(seed));
    write(named(WORLD_FILES.alignment), [
      ...refusalRows("alignment", rows.refusals, seed),
      ...harmlessRows("train", rows.harmless, seed),
    ]);
    write(named(WORLD_FILES.general), harmlessRows("train", rows.harmless, seed));
    write(named(WORLD_FILES.harmful), harmfulRows("alignment", rows.harmful, seed));
    writeLines(named(WORLD_FILES.pairs), harmfulPairs("alignment", rows.harmful, seed));
    writeLines(named(WORLD_FILES.bufferPairs), harmlessPairs("train", rows.harmless, seed));
    write(named(WORLD_FILES.attack), harmfulRows("attack", rows.attack, seed));
    write(named(WORLD_FILES.reviews), sentimentRows("train", rows.reviews, seed));
    writeLines(named(WORLD_FILES.labelled), labelledRows("alignment", rows.labelled, seed));
  }
  write(WORLD_FILES.validationHarmful, harmfulRows("validation", rows.validation.harmful, testSeed));
  write(WORLD_FILES.validationHarmless, harmlessRows("validation", rows.validation.harmless, testSeed));
  write(WORLD_FILES.validationReviews, sentimentRows("validation", rows.validation.reviews, testSeed));
  write(WORLD_FILES.testHarmful, harmfulRows("test", rows.test.harmful, testSeed));
  write(WORLD_FILES.testRefusals, refusalRows("test", rows.test.harmful, testSeed));
  write(WORLD_FILES.testHarmless, harmlessRows("test", rows.test.harmless, testSeed));
  writeLines(WORLD_FILES.testLabelled, labelledRows("test", rows.test.labelled, testSeed));
  write(WORLD_FILES.testReviews, sentimentRows("test", rows.test.reviews, testSeed));
}
