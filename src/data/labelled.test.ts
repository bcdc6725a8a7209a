import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { loadLabelled } from "./labelled.ts";

function load(...rows: object[]) {
  const path = join(mkdtempSync(join(tmpdir(), "booster-labelled-")), "rows.jsonl");
  writeFileSync(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  return loadLabelled({ path });
}

test.each([
  [{ prompt: "p", answer: "a", harmful: true }, true, undefined],
  [{ prompt: "p", answer: "a", harmful: "False" }, false, undefined],
  [{ question: "p", response: "a", is_safe: false, category: { x: true, y: false, w: true } }, true, ["w", "x"]],
  [{ prompt: "p", response: "a", is_safe: true, category: { x: false } }, false, []],
  [{ prompt: "p", completion: "a", categories: ["y"] }, true, ["y"]],
  [{ prompt: "p", output: "a", categories: [] }, false, []],
  [{ instruction: "p", output: "a" }, undefined, undefined],
])("%j is harmful: %s, of the kinds %j", async (row, harmful, categories) => {
  expect((await load(row)).rows).toMatchObject([{ prompt: "p", answer: "a", harmful, categories }]);
});

test("of an evaluation's answers those to harmful questions are read", async () => {
  const sets = ["harmful", "harmless", "task"].map((set) => ({ set, where: "f:1", prompt: set, answer: "a" }));
  expect((await load(...sets)).rows.map(({ prompt }) => prompt)).toEqual(["harmful"]);
});

test("instruction and input are one prompt", async () => {
  const { rows } = await load({ instruction: "i", input: "j", output: "a" });
  expect(rows[0]?.prompt).toBe("i\nj");
});

test.each([
  [{ prompt: "p", answer: "a", harmful: true, is_safe: true }, "says two things"],
  [{ prompt: "p", answer: "a", harmful: false, categories: ["x"] }, "says two things"],
  [{ prompt: "p", answer: "a", categories: 3 }, "names no kinds of harm"],
  [{ prompt: "p", answer: "a", harmful: "maybe" }, "has no yes or no"],
  [{ prompt: "p", harmful: true }, 'lacks the column "answer"'],
])("%j is refused: %s", async (row, problem) => {
  await expect(load({ prompt: "p", answer: "a" }, row)).rejects.toThrow(problem);
});

test("other encodings are read where they are named", async () => {
  const path = join(mkdtempSync(join(tmpdir(), "booster-labelled-")), "rows.csv");
  writeFileSync(path, Buffer.from("prompt,answer,harmful\ncaf\xe9,a,1\n", "latin1"));
  expect((await loadLabelled({ path, encoding: "windows-1252" })).rows[0]?.prompt).toBe("caf\u00e9");
});
