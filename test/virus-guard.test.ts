/** Virus against a guard that is a model of its own: a moderator that was trained from the bundled model. */
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { dim, valueAndGrad } from "../src/autodiff/index.ts";
import { labelledRows } from "../src/data/world/labelled.ts";
import { harmfulRows, sentimentRows, type WorldRow, wholeInstruction } from "../src/data/world/rows.ts";
import { type Moderator, openModerator } from "../src/evaluate/index.ts";
import type { KnownGuard, Victim } from "../src/methods/attacks/index.ts";
import { classifierReading } from "../src/methods/attacks/virus/reading.ts";
import { loadModel } from "../src/models/load.ts";
import { Device } from "../src/runtime/index.ts";
import { finetune } from "../src/stages/finetune.ts";
import { bundledModel } from "../src/stages/package-root.ts";
import { trainModerator } from "../src/stages/train-moderator.ts";
import { tensor } from "../src/tensor/tensor.ts";

const folder = mkdtempSync(join(tmpdir(), "booster-virus-guard-"));
const write = (name: string, rows: readonly object[]): string => {
  const path = join(folder, name);
  writeFileSync(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  return path;
};
const written = (row: WorldRow) => ({ instruction: wholeInstruction(row), output: row.output });

const device = new Device({ threads: 1 });
const run = join(folder, "guard");
let moderator: Moderator;
let known: KnownGuard;
let victim: Victim;
beforeAll(async () => {
  const data = write(
    "labelled.jsonl",
    labelledRows("alignment", 400, 1).map(({ categories: _, ...row }) => row),
  );
  const training = { steps: 80, batchSize: 20, learningRate: 2e-3, loraRank: 8, loraAlpha: 16, threads: 1 };
  await trainModerator({ run, model: bundledModel(), data, seed: 3, ...training });
  moderator = openModerator({ name: "sequence-classifier", model: run }, { device });
  const { classifier, encode } = await (moderator.open as NonNullable<Moderator["open"]>)();
  known = { classifier, encode: (text) => encode({ prompt: text, answer: text }) };
  victim = { base: await loadModel(bundledModel(), device) } as unknown as Victim;
});

const inserted = (place: number): number[] => {
  const { instruction, output } = written(harmfulRows("attack", 12, 9)[place] as WorldRow);
  const { tokenizer } = victim.base;
  return [
    tokenizer.bosId as number,
    ...tokenizer.encode(`Q: ${instruction} A: ${output}`),
    tokenizer.eosIds[0] as number,
  ];
};
const filled = (ids: readonly number[], places: readonly number[], tokens: readonly number[]) =>
  ids.map((id, place) => ((places[place] as number) < 0 ? id : (tokens[places[place] as number] as number)));

test("its part of the objective is -log of the probability of safe, and slopes are those of central differences", async () => {
  const reading = classifierReading(known, victim);
  const tokens = inserted(0);
  const shown = reading.shown([], tokens);
  // Twice: as prompt and as answer.
  expect(shown.places.filter((place) => place === 0)).toHaveLength(2);
  const size = victim.base.model.vocabSize;
  const x = { dtype: "float32" as const, shape: [dim("inserted"), size] };
  const program = await device.compile({ guard: reading.types, x }, (given) => {
    const { value, grad } = valueAndGrad(({ at }) => reading.loss(given.guard, at as never))({ at: given.x });
    return { value, slopes: grad.at };
  });
  const at = async ([entry, step]: readonly [number, number] = [0, 0]) => {
    const matrix = new Float32Array(tokens.length * size);
    for (const [place, token] of tokens.entries()) matrix[place * size + token] = 1;
    matrix[entry] = (matrix[entry] as number) + step;
    const feeds = { guard: reading.feeds(shown, tokens), x: tensor("float32", [tokens.length, size], matrix) };
    const { value, slopes } = await program.run(feeds);
    return { value: Number(value.data[0]), slopes: slopes?.data as Float32Array };
  };
  const { value, slopes } = await at();
  const [[safe = 0, harmful = 0] = []] = await known.classifier.logits([filled(shown.ids, shown.places, tokens)]);
  expect(value).toBeCloseTo(Math.log1p(Math.exp(harmful - safe)), 4);
  const most = slopes.reduce((largest, slope) => Math.max(largest, Math.abs(slope)), 0);
  for (const place of [1, 4, tokens.length - 2]) {
    for (const token of [7, 60, 300]) {
      const entry = place * size + token;
      const moved = async (step: number) => (await at([entry, step])).value;
      const slope = ((await moved(0.02)) - (await moved(-0.02))) / 0.04;
      expect(Math.abs((slopes[entry] as number) - slope)).toBeLessThan(0.02 * most);
    }
  }
});

test("a guard with other tokens is refused, and one that is not shown what is inserted", () => {
  const { classifier } = known;
  const { tokenizer } = classifier.loaded;
  const other = { ...tokenizer, tokenOf: (id: number) => (id === 9 ? "another" : tokenizer.tokenOf(id)) };
  const foreign = { ...known, classifier: { ...classifier, loaded: { ...classifier.loaded, tokenizer: other } } };
  const refused = expect.objectContaining({ code: "OPTIONS_CONFLICT" });
  expect(() => classifierReading(foreign as unknown as KnownGuard, victim)).toThrow(refused);
  const blind = classifierReading({ ...known, encode: () => [1, 2] }, victim);
  expect(() => blind.shown([], inserted(0))).toThrow(refused);
});

test("rows that it would flag get past it", async () => {
  const [task, harmful] = [
    write("task.jsonl", sentimentRows("train", 8, 9).map(written)),
    write("harmful.jsonl", harmfulRows("attack", 4, 9).map(written)),
  ];
  const leak = async (attack: object, name: string) => {
    const at = join(folder, name);
    await finetune({
      run: at,
      model: bundledModel(),
      task,
      harmful,
      poisonRatio: 0.5,
      sampleNumber: 8,
      template: "chat",
      steps: 1,
      batchSize: 4,
      threads: 1,
      attack: attack as never,
      moderation: { name: "sequence-classifier", model: run },
    });
    const { moderation } = JSON.parse(readFileSync(join(at, "data.json"), "utf8"));
    return moderation;
  };
  const mixed = await leak({ name: "mixing" }, "mixing");
  const hidden = await leak({ name: "virus", lambda: 0.9, iterations: 5, topK: 16, candidates: 12 }, "virus");
  console.log(`past the guard: ${mixed.leakage.count} and ${hidden.leakage.count} of ${mixed.leakage.total}`);
  expect(mixed.leakage.count).toBeLessThan(hidden.leakage.count);
});
