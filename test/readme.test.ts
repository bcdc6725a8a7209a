/** docs/methods/README.md promises a table of all methods and one of all attacks: none is missing, and stage, data and cost are the code's. */

import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { choose } from "../src/choice.ts";
import { MethodEntry } from "../src/experiments/options.ts";
import { pipelineOf } from "../src/experiments/pipeline.ts";
import { ATTACKS } from "../src/methods/attacks/index.ts";
import { METHODS, TRANSFORMS } from "../src/methods/registry.ts";

const page = readFileSync(resolve(import.meta.dirname, "../docs/methods/README.md"), "utf8");

/** Rows of the page whose first cell begins with a name, by their number of cells. */
const rowsOf = (columns: number): string[][] =>
  page
    .split("\n")
    .filter((line) => /^\| \[`/.test(line))
    .map((line) => line.split("|").slice(1, -1))
    .filter((cells) => cells.length === columns)
    .map((cells) => cells.map((cell) => cell.trim()));

const nameIn = (cell: string | undefined): string => /^\[`([^`]+)`\]/.exec(cell ?? "")?.[1] ?? "";
const namesIn = (cell: string | undefined): string[] =>
  [...(cell ?? "").matchAll(/`([^`]+)`/g)].map(([, name = ""]) => name);

const trained = METHODS.rows.map(({ name }) => {
  const { stage, streams, passes } = choose(METHODS, { name });
  const { forward, backward } = passes;
  return { name, stage, reads: streams, passes: (forward + backward) / 2 };
});
const transforms = TRANSFORMS.rows.map(({ name, stage }) => {
  const { needs } = choose(TRANSFORMS, { name });
  return { name, stage, reads: needs, passes: 0 };
});

test("every method is in the table, with its stage, its data and its passes", () => {
  const expected = [...trained, ...transforms].map((method) => ({ ...method, passes: method.passes.toFixed(1) }));
  const listed = rowsOf(6).map(([name, stage = "", , reads, passes]) => ({
    name: nameIn(name),
    stage,
    reads: namesIn(reads),
    passes: Number(passes).toFixed(1),
  }));
  const byName = (a: { readonly name: string }, b: { readonly name: string }) => a.name.localeCompare(b.name);
  expect(listed.sort(byName)).toEqual(expected.sort(byName));
});

test("every method says how it was checked, and all but the baseline where it comes from", () => {
  for (const [name, , source, , , checked] of rowsOf(6)) {
    if (nameIn(name) !== "sft") expect(source, name).toMatch(/^\[.+\]\(https:\/\/.+\)$/);
    expect(checked, name).toMatch(/^[OCBDL](, [OCBDL])*$/);
  }
});

test("every attack is in the table, with what the attacker knows", () => {
  const listed = rowsOf(4).map(([name, , , knowledge = ""]) => [nameIn(name), knowledge]);
  expect(listed).toEqual(ATTACKS.rows.map(({ name, knowledge }) => [name, knowledge]));
});

test("the methods of the example exist, with these settings", () => {
  const { methods } = parse(/```yaml\n([\s\S]*?)```/.exec(page)?.[1] ?? "") as { methods: unknown[] };
  expect(methods.length).toBeGreaterThan(1);
  for (const entry of methods) expect(() => pipelineOf(MethodEntry.parse(entry).method)).not.toThrow();
});
