import { expect, test } from "vitest";
import type { Piece } from "../../plan.ts";
import { arraysOf } from "./arrays.ts";

/** A piece by its key, and those that it needs: the model below it, then what it chooses from. */
const piece = (key: string, on?: string, from?: readonly string[]): Piece => ({
  key,
  stage: "align",
  folder: "align",
  label: key,
  options: from === undefined ? {} : { rule: "", from, candidates: [], pick: () => ({}) },
  on,
  from,
  files: {},
});
const shapeOf = (pieces: readonly Piece[]) =>
  arraysOf(pieces).map(({ tasks, after }) => [
    tasks.map((task) => task.map(({ key }) => key).join(" ")),
    after.map(({ array, task }) => `${array}_${task}`),
  ]);

test("alignments are one array, and what stands on each of them another that waits for it alone", () => {
  const methods = ["sft", "booster"].flatMap((name) => [
    piece(name),
    piece(`${name}-before`, name),
    piece(`${name}-weak`, name),
    piece(`${name}-weak-after`, `${name}-weak`),
    piece(`${name}-strong`, name),
    piece(`${name}-strong-after`, `${name}-strong`),
  ]);
  expect(shapeOf(methods)).toEqual([
    [["sft", "booster"], []],
    [["sft-before", "sft-weak sft-weak-after", "sft-strong sft-strong-after"], ["0_0"]],
    [["booster-before", "booster-weak booster-weak-after", "booster-strong booster-strong-after"], ["0_1"]],
  ]);
});

test("what is there is waited for by nobody", () => {
  expect(shapeOf([piece("weak", "sft"), piece("after", "weak"), piece("booster")])).toEqual([
    [["weak after", "booster"], []],
  ]);
});

test("a choice waits for all that it chooses from", () => {
  const pieces = [
    piece("sft"),
    piece("one", "sft"),
    piece("one-judged", "one"),
    piece("other", "sft"),
    piece("other-judged", "other"),
    piece("worst", "sft", ["one-judged", "other-judged"]),
    piece("after", "worst"),
  ];
  expect(shapeOf(pieces)).toEqual([
    [["sft"], []],
    [["one one-judged", "other other-judged"], ["0_0"]],
    [["worst after"], ["0_0", "1_0", "1_1"]],
  ]);
});

test("no array is longer than Slurm takes by default, and places are those within its own array", () => {
  const many = Array.from({ length: 1001 }, (_, i) => piece(`align-${i}`));
  const last = [piece("before", "align-1000"), piece("attack", "align-1000")];
  expect(arraysOf([...many, ...last]).map(({ tasks, after }) => [tasks.length, after])).toEqual([
    [1000, []],
    [1, []],
    [2, [{ array: 1, task: 0 }]],
  ]);
});
