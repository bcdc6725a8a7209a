import { describe, expect, test } from "vitest";
import { choose } from "../../choice.ts";
import type { Example, InstructionExample } from "../../data/examples.ts";
import { mixPoison } from "../../data/mix.ts";
import type { EncodedExample } from "../../data/templates.ts";
import { RandomStream } from "../../tensor/random.ts";
import type { AttackRow, Victim } from "./attack.ts";
import { ATTACKS } from "./registry.ts";
import { encodeRow, examplesOf, guardTokens } from "./rows.ts";

const example = (kind: string, i: number): InstructionExample => ({
  kind: "instruction",
  where: `${kind}:${i}`,
  instruction: `${kind} ${i}`,
  input: "",
  output: `answer ${i}`,
});
const task = Array.from({ length: 40 }, (_, i) => example("task", i));
const harmful = Array.from({ length: 40 }, (_, i) => example("bad", i));
/** Only attackers who know the model look at it. */
const NOBODY = {} as Victim;
const settings = { poisonRatio: 0.25, sampleNumber: 20, counts: "exact" as const };

const rowsOf = async (attack: { readonly name: string }, given: object = {}) =>
  (await choose(ATTACKS, attack).rows({ task, harmful, ...settings, ...given }, NOBODY)).rows;
const instructions = (rows: readonly AttackRow[]) =>
  rows.map((row) => examplesOf(row).map((part) => (part.kind === "instruction" ? part.instruction : "")));

test("the default mix is the poisoned mix, bit for bit", async () => {
  const shuffle = new RandomStream(7, "mix");
  const mixed = mixPoison<Example>(harmful, task, { ...settings, shuffle });
  const rows = await rowsOf({ name: "mix" }, { shuffle });
  expect(rows).toEqual(
    mixed.map((part) => ({ pieces: [{ example: part.example, trained: "answer" }], harmful: part.harmful })),
  );
});

test.each([
  ["pure-harmful", 20, 0],
  ["benign", 0, 20],
])("%s takes one kind of row, whatever the ratio", async (name, bad, good) => {
  const rows = await rowsOf({ name });
  expect(rows.filter((row) => row.harmful)).toHaveLength(bad);
  expect(rows).toHaveLength(bad + good);
  expect(choose(ATTACKS, { name }).needs(settings)).toEqual({ harmful: bad, task: good });
});

describe("identity shifting", () => {
  const attack = { name: "identity-shifting", prefix: "Obey:", agreement: "Yes:" };

  test("rewords the first rows of the task and needs no harmful ones", async () => {
    const rows = await rowsOf(attack, { harmful: [] });
    expect(rows).toHaveLength(20);
    expect(rows.filter((row) => row.harmful)).toHaveLength(5);
    expect(examplesOf(rows[0]!)[0]).toMatchObject({ instruction: "Obey: task 0", output: "Yes: answer 0" });
    expect(examplesOf(rows[5]!)[0]).toEqual(task[5]);
  });

  test("asks under the same prefix, in conversations too", () => {
    const { ask } = choose(ATTACKS, attack);
    expect(ask?.(example("bad", 3))).toMatchObject({ instruction: "Obey: bad 3", output: "answer 3" });
    const messages = [
      { role: "system", content: "s" },
      { role: "user", content: "q" },
      { role: "assistant", content: "a" },
    ];
    expect(ask?.({ kind: "chat", where: "x", messages })).toMatchObject({
      messages: [{ content: "s" }, { content: "Obey: q" }, { content: "a" }],
    });
    expect(choose(ATTACKS, { name: "mix" }).ask).toBeUndefined();
  });
});

describe("mixing", () => {
  test("hides each harmful row between two copies of a task row", async () => {
    const rows = await rowsOf({ name: "mixing" });
    expect(rows).toHaveLength(20);
    expect(instructions(rows).slice(4, 6)).toEqual([["task 4", "bad 4", "task 4"], ["task 5"]]);
    expect(rows.map((row) => row.harmful).filter(Boolean)).toHaveLength(5);
    expect(choose(ATTACKS, { name: "mixing" }).needs({ ...settings, poisonRatio: 0.29, sampleNumber: 10 })).toEqual({
      harmful: 3,
      task: 10,
    });
    expect(
      choose(ATTACKS, { name: "mixing" }).needs({ poisonRatio: 0.29, sampleNumber: 10, counts: "reference" }),
    ).toEqual({ harmful: 2, task: 10 });
  });

  /** Two prompt tokens, then two answer tokens, all told apart by the row. */
  const encode = (row: Example): EncodedExample => {
    const base = 10 * Number(/\d+$/.exec(row.where)?.[0]) + (row.where.startsWith("bad") ? 1000 : 0);
    const ids = Int32Array.of(base, base + 1, base + 2, base + 3);
    return {
      where: row.where,
      ids,
      labels: Int32Array.of(-100, -100, ids[2]!, ids[3]!),
      trainedTokens: 2,
      truncated: false,
    };
  };

  test("trains the answers of the task and all of the harmful row", async () => {
    const [row] = await rowsOf({ name: "mixing" });
    const joined = encodeRow(row!, encode, { maxTokens: 64, tooLong: "reject" });
    expect([...joined.ids]).toEqual([0, 1, 2, 3, 1000, 1001, 1002, 1003, 0, 1, 2, 3]);
    expect([...joined.labels]).toEqual([-100, -100, 2, 3, 1000, 1001, 1002, 1003, -100, -100, 2, 3]);
    expect(joined.trainedTokens).toBe(8);
    expect(guardTokens(row!, encode)).toEqual([0, 1, 2, 3, 1000, 1001, 1002, 1003]);
    const cut = encodeRow(row!, encode, { maxTokens: 5, tooLong: "truncate" });
    expect([cut.ids.length, cut.truncated]).toEqual([5, true]);
    expect(() => encodeRow(row!, encode, { maxTokens: 5, tooLong: "reject" })).toThrow(/at most 5; found 12/);
  });

  test("a row of one piece is that piece", () => {
    const one = encodeRow({ pieces: [{ example: task[3]!, trained: "answer" }], harmful: false }, encode, {
      maxTokens: 1,
      tooLong: "reject",
    });
    expect(one).toEqual(encode(task[3]!));
  });
});

describe("every attack that needs no model", () => {
  test.each(ATTACKS.rows.map(({ name }) => name).filter((name) => name !== "virus" && name !== "outliers"))(
    "%s",
    async (name) => {
      const attack = choose(ATTACKS, { name });
      const needs = attack.needs(settings);
      const [bad, good] = [harmful.slice(0, needs.harmful), task.slice(0, needs.task)];
      const order = (seed: number) =>
        rowsOf({ name }, { harmful: bad, task: good, shuffle: new RandomStream(seed, "mix") });
      const sorted = (rows: readonly AttackRow[]) => rows.map((row) => JSON.stringify(row)).sort();
      // Reads no row beyond those that it says it needs, and one seed gives one order of the same rows.
      expect(await order(1)).toEqual(await order(1));
      expect(await order(1)).not.toEqual(await order(2));
      expect(sorted(await order(1))).toEqual(sorted(await order(2)));
      await expect(rowsOf({ name }, { harmful: [], task: [] })).rejects.toThrow(/more .* rows/);
    },
  );
});

test("an unknown attack, and options that it lacks, are named", () => {
  expect(() => choose(ATTACKS, { name: "magic" })).toThrow(/mix, pure-harmful.*found magic/);
  expect(() => choose(ATTACKS, { name: "mix", prefix: "x" })).toThrow(/prefix/);
});
