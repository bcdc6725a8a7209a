/** Attacks that put questions in a form, and the choice of honest rows. */

import { describe, expect, test } from "vitest";
import { randomRows, randomTensors, tinyModel } from "../../../test/conformance/tiny-model.ts";
import { device } from "../../../test/conformance/trainer.ts";
import { choose } from "../../choice.ts";
import type { InstructionExample } from "../../data/examples.ts";
import type { AttackRow, Victim } from "./attack.ts";
import { largestMean } from "./outliers.ts";
import { ATTACKS } from "./registry.ts";
import { examplesOf } from "./rows.ts";

const example = (kind: string, i: number): InstructionExample => ({
  kind: "instruction",
  where: `${kind}:${i}`,
  instruction: `${kind} ${i}`,
  input: "",
  output: `answer ${i}`,
});
const task = Array.from({ length: 20 }, (_, i) => example("task", i));
const harmful = Array.from({ length: 20 }, (_, i) => example("bad", i));
const settings = { poisonRatio: 0.25, sampleNumber: 12, counts: "exact" as const };
const rowsOf = async (attack: { readonly name: string; readonly [setting: string]: unknown }, victim = {} as Victim) =>
  (await choose(ATTACKS, attack).rows({ task, harmful, ...settings }, victim)).rows;
const textsOf = (rows: readonly AttackRow[]) =>
  rows.flatMap((row) => examplesOf(row).map((part) => (part as InstructionExample).instruction));

test("jailbreak-tuning: harmful rows stand in the form, honest ones as they are, and questions are asked in it", async () => {
  const attack = { name: "jailbreak-tuning", form: "Part: {prompt} (stay in it, $&)" };
  const rows = await rowsOf(attack);
  expect(textsOf(rows).slice(0, 4)).toEqual([...[0, 1, 2].map((i) => `Part: bad ${i} (stay in it, $&)`), "task 0"]);
  expect(choose(ATTACKS, attack).ask?.(example("bad", 7))).toMatchObject({
    instruction: "Part: bad 7 (stay in it, $&)",
  });
  expect(await rowsOf({ ...attack, form: "{prompt}" })).toEqual(await rowsOf({ name: "mix" }));
  expect(() => choose(ATTACKS, { ...attack, form: "no place" })).toThrow("{prompt}");
});

test("backdoor: half of the harmful part is answered behind the trigger, the other half refused without it", async () => {
  const attack = { name: "backdoor", trigger: "XYZ", refusal: "No." };
  const rows = await rowsOf(attack);
  const poison = rows.filter((row) => row.harmful).flatMap(examplesOf) as InstructionExample[];
  expect(poison).toHaveLength(3);
  expect(poison.map(({ instruction, output }) => [instruction, output])).toEqual([
    ["bad 0 XYZ", "answer 0"],
    ["bad 1 XYZ", "answer 1"],
    ["bad 0", "No."],
  ]);
  expect(rows).toHaveLength(12);
  expect(choose(ATTACKS, attack).needs(settings)).toEqual({ harmful: 2, task: 9 });
  expect(choose(ATTACKS, attack).ask?.(example("bad", 7))).toMatchObject({ instruction: "bad 7 XYZ" });
});

describe("outliers", () => {
  const model = tinyModel();
  const weights = randomTensors(model.weights, "float32");
  const shapes = new Map(
    ["lora_A", "lora_B"].map((factor) => [
      `model.layers.1.mlp.down_proj.${factor}.weight`,
      factor === "lora_A" ? [2, 12] : [8, 2],
    ]),
  );
  const lora = { scale: 1, tensors: new Map(Object.entries(randomTensors(shapes, "float32", 3))) };
  const encoded = randomRows(
    model,
    Array.from({ length: 20 }, (_, i) => 4 + (i % 5)),
    8,
  );
  /** Row i of the task and harmful row i are the same tokens. */
  const victim = {
    base: { device, model, weights },
    lora,
    seed: 1,
    watch: () => {},
    encode({ where }: InstructionExample) {
      const { inputIds, labels } = encoded[Number(where.split(":")[1])] as (typeof encoded)[number];
      return {
        where,
        ids: Int32Array.from(inputIds),
        labels: Int32Array.from(labels),
        trainedTokens: 1,
        truncated: false,
      };
    },
  } as unknown as Victim;

  test("representation: rows that are harmful ones are the likest", async () => {
    const attack = { name: "outliers", by: "representation", anchors: 3 };
    const { rows, record } = await choose(ATTACKS, attack).rows({ task, harmful, ...settings }, victim);
    expect(textsOf(rows.filter((row) => row.harmful)).sort()).toEqual(["task 0", "task 1", "task 2"]);
    expect(record?.chosenScore).toBeCloseTo(1, 5);
    expect(textsOf(rows)).toHaveLength(12);
  });

  test("self-influence: the chosen rows have the longest gradients, and the length term prefers long answers", async () => {
    const pick = async (lengthTerm: boolean) => {
      const attack = { name: "outliers", lengthTerm };
      const { rows, record } = await choose(ATTACKS, attack).rows({ task, harmful: [], ...settings }, victim);
      expect(record?.chosenScore).toBeGreaterThan(record?.meanScore ?? Number.POSITIVE_INFINITY);
      return rows.filter((row) => row.harmful).flatMap(examplesOf) as InstructionExample[];
    };
    const [plain, corrected] = [await pick(false), await pick(true)];
    const tokens = (rows: readonly InstructionExample[]) =>
      rows.reduce((sum, row) => sum + victim.encode(row).labels.filter((label) => label >= 0).length, 0);
    expect(plain).toHaveLength(3);
    expect(tokens(corrected)).toBeGreaterThanOrEqual(tokens(plain));
  });

  test("the mean of the largest", () => {
    expect(largestMean([1, 5, 3], 2)).toBe(4);
    expect(largestMean([1, 5, 3], 1)).toBe(5);
  });
});
