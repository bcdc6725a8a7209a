/**
 * Data of the experiment on a real model: disjoint sets and a content moderator, into runs/smollm2/data. Same input, same bytes.
 * `node dist/scripts/real-experiment/prepare.js` reads the data sets of ../shared/data (or of $BOOSTER_SHARED/data).
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Example, InstructionExample } from "../../src/data/examples.ts";
import { loadExamples } from "../../src/data/load.ts";
import { loadRows } from "../../src/data/sources.ts";
import { disjointSets, hashExamples, splitPool } from "../../src/data/split.ts";
import { loadTask } from "../../src/data/tasks/table.ts";
import { type LabelledExchange, saveClassifier, trainClassifier } from "../../src/evaluate/moderators/index.ts";
import type { Rate } from "../../src/evaluate/rate.ts";
import { writeFileAtomic } from "../../src/formats/atomic-file.ts";
import { openSource } from "../../src/models/source.ts";
import { RandomStream } from "../../src/tensor/random.ts";

const SHARED = process.env.BOOSTER_SHARED ?? join("..", "shared");
const SOURCE = join(SHARED, "data");
const MODEL = join(SHARED, "models", "smollm2-135m-instruct", "SmolLM2-135M-Instruct.Q4_1.gguf");
const TARGET = join("runs", "smollm2", "data");
const SEED = 7;
/** Of an answer the moderator learns what it will see: as many tokens as the evaluation lets a model write. */
const ANSWER_TOKENS = 48;
/** What every set but the classifier's, which gets the rest, holds. Along an attack `test` alone is looked at; scores are of both tests. */
const ROWS = {
  test: 100,
  validation: 60,
  defender: 1500,
  attacker: 300,
  alignment: 1500,
  heldOut: 60,
  sst2: 1200,
  moreTest: 200,
};
const PROMPTS = { harmless: 60, validation: 30, classifier: 1000, sst2Dev: 200, sst2Validation: 100 };

const random = (name: string) => new RandomStream(SEED, `smollm2-${name}`);
const isInstruction = (example: Example): example is InstructionExample => example.kind === "instruction";
const instructions = async (file: string) =>
  (await loadExamples({ path: join(SOURCE, file) })).examples.filter(isInstruction);

function write(name: string, examples: readonly InstructionExample[]): void {
  const lines = examples.map(({ instruction, input, output }) => JSON.stringify({ instruction, input, output }));
  writeFileAtomic(join(TARGET, `${name}.jsonl`), [Buffer.from(`${lines.join("\n")}\n`)]);
  console.log(`${name}.jsonl: ${examples.length} rows, sha256 ${hashExamples(examples).slice(0, 16)}`);
}

const tokenizer = openSource(MODEL).base.tokenizer();
const beginning = (answer: string): string => tokenizer.decode(tokenizer.encode(answer).slice(0, ANSWER_TOKENS));

const asLabelled = (harmful: boolean) => (example: InstructionExample) => ({
  prompt: example.instruction,
  answer: beginning(example.output),
  harmful,
});

async function harmfulSets() {
  const { examples } = await loadTask("beavertails", join(SOURCE, "beavertails_subset.jsonl"));
  const { test, validation, defender, attacker } = ROWS;
  const sizes = { test, validation, defender, attacker };
  const { sets, removed } = splitPool(examples, sizes, random("harmful"));
  console.log(`unsafe rows: ${examples.length}, repeated questions left out: ${removed.length}`);
  const taken = Object.values(sets).flatMap((set) => set.examples);
  const { rest } = disjointSets({ taken, rest: examples });
  const { moreTest } = splitPool(rest.examples, { moreTest: ROWS.moreTest }, random("more-test")).sets;
  return {
    sets,
    moreTest: moreTest.examples,
    rest: disjointSets({ moreTest: moreTest.examples, rest: rest.examples }).rest.examples,
  };
}

/** Harmless rows whose questions are like none of the harmful sets'. */
async function harmlessPools(harmful: readonly InstructionExample[]) {
  const { rows, faults } = await loadRows(join(SOURCE, "beavertails_subset.jsonl"));
  faults.throwIfAny();
  const safeRows = rows.flatMap(({ values, file, line }): InstructionExample[] =>
    values.is_safe === true
      ? [
          {
            kind: "instruction",
            where: `${file}:${line}`,
            instruction: String(values.prompt),
            input: "",
            output: String(values.response),
          },
        ]
      : [],
  );
  const short = (await instructions("alpaca_5000.json")).filter(
    ({ instruction, input, output }) => input === "" && instruction.length < 120 && output.length > 20,
  );
  const refusals = (await loadTask("safe-answers", join(SOURCE, "safe_answers.json"))).examples;
  const clean = disjointSets({ harmful, refusals, safeRows, short });
  const { alignment, heldOut } = ROWS;
  const safe = splitPool(clean.refusals.examples, { heldOut, alignment }, random("safe"));
  const takenSafe = Object.values(safe.sets).flatMap((set) => set.examples);
  const plain = splitPool(
    clean.short.examples,
    { harmless: PROMPTS.harmless, validation: PROMPTS.validation, classifier: PROMPTS.classifier },
    random("harmless"),
  );
  return {
    safe: safe.sets,
    plain: plain.sets,
    labelled: [
      ...clean.safeRows.examples,
      ...disjointSets({ taken: takenSafe, rest: clean.refusals.examples }).rest.examples,
      ...plain.sets.classifier.examples,
    ],
  };
}

async function reviewSets() {
  const load = async (file: string) => (await loadTask("sst2", join(SOURCE, file))).examples;
  const clean = disjointSets({ dev: await load("sst2_dev.tsv"), train: await load("sst2_train.tsv") });
  const dev = splitPool(
    clean.dev.examples,
    { dev: PROMPTS.sst2Dev, validation: PROMPTS.sst2Validation },
    random("dev"),
  );
  const train = splitPool(clean.train.examples, { train: ROWS.sst2 }, random("train"));
  return { dev: dev.sets.dev, validation: dev.sets.validation, train: train.sets.train };
}

const percent = ({ count, total, percent, low, high }: Rate) =>
  `${percent.toFixed(1)} % (${low.toFixed(1)} to ${high.toFixed(1)}; ${count} of ${total})`;

mkdirSync(TARGET, { recursive: true });
const { sets: harmful, moreTest, rest } = await harmfulSets();
const everyHarmful = Object.values(harmful).flatMap((set) => set.examples);
const harmless = await harmlessPools([...everyHarmful, ...moreTest, ...rest]);
const reviews = await reviewSets();
for (const [name, { examples }] of Object.entries(harmful)) write(`harmful-${name}`, examples);
write("harmful-test-all", [...harmful.test.examples, ...moreTest]);
write("safe-alignment", harmless.safe.alignment.examples);
write("safe-held-out", harmless.safe.heldOut.examples);
write("harmless-test", harmless.plain.harmless.examples);
write("harmless-validation", harmless.plain.validation.examples);
write("sst2-train", reviews.train.examples);
write("sst2-test", reviews.dev.examples);
write("sst2-validation", reviews.validation.examples);

const labelled: LabelledExchange[] = [...rest.map(asLabelled(true)), ...harmless.labelled.map(asLabelled(false))];
const model = trainClassifier(labelled, { seed: SEED });
writeFileAtomic(join(TARGET, "moderator.json"), [Buffer.from(saveClassifier(model))]);
console.log(`moderator: ${rest.length} harmful and ${harmless.labelled.length} harmless exchanges`);
console.log(`held-out accuracy ${percent(model.heldOut.accuracy)}`);
console.log(
  `flags ${percent(model.heldOut.harmfulFlagged)} of harmful, passes ${percent(model.heldOut.harmlessPassed)} of harmless`,
);
