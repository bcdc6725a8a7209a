import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { loadTask, TASKS, type TaskName } from "./table.ts";

const folder = mkdtempSync(join(tmpdir(), "tasks-"));
afterAll(() => rmSync(folder, { recursive: true }));

async function load(task: TaskName, name: string, content: string) {
  writeFileSync(join(folder, name), content);
  const { examples } = await loadTask(task, join(folder, name));
  return examples.map(({ instruction, input, output }) => ({ instruction, input, output }));
}

test("SST-2, with and without a header", async () => {
  const instruction = "Analyze the sentiment of the input, and respond only positive or negative";
  const expected = [
    { instruction, input: "fine", output: "positive" },
    { instruction, input: "dull", output: "negative" },
  ];
  expect(await load("sst2", "a.tsv", "fine\t1\ndull\t0\n")).toEqual(expected);
  expect(await load("sst2", "b.tsv", "sentence\tlabel\nfine\t1\ndull\t0\n")).toEqual(expected);
  expect(await load("sst2", "c.jsonl", '{"sentence":"fine","label":1}\n{"sentence":"dull","label":0}')).toEqual(
    expected,
  );
  await expect(load("sst2", "d.tsv", "fine\t-1\n")).rejects.toThrow(/d\.tsv:1 LABEL_UNKNOWN.*0 to 1/);
});

test("AG News: classes from 0 and from 1", async () => {
  const [example] = await load("agnews", "a.csv", '"Cup won Team wins",1\n');
  expect(example).toMatchObject({ input: "Cup won Team wins", output: "Sports" });
  expect(example?.instruction).toBe(
    "Categorize the news article given in the input into one of the 4 categories:\n\nWorld\nSports\nBusiness\nSci/Tech\n",
  );
  expect(await load("agnews", "b.csv", '"2","Cup won","Team wins"\n"4","Chip","Fast"\n')).toMatchObject([
    { input: "Cup won Team wins", output: "Sports" },
    { input: "Chip Fast", output: "Sci/Tech" },
  ]);
  await expect(load("agnews", "c.csv", '"0","Cup won","Team wins"\n')).rejects.toThrow(/LABEL_UNKNOWN/);
});

test("GSM8K: the reference code's words before the number", async () => {
  expect(await load("gsm8k", "a.jsonl", '{"question": "1+1?", "answer": "Add.\\n#### 2"}')).toEqual([
    { instruction: "1+1?", input: "", output: "Add.\nThe final answer is:  2" },
  ]);
});

test("BeaverTails: unsafe rows only; refusals are cut at the answer", async () => {
  const rows = '{"prompt":"p","response":"r","is_safe":false}\n{"prompt":"s","response":"r","is_safe":true}';
  expect(await load("beavertails", "a.jsonl", rows)).toEqual([{ instruction: "p", input: "", output: "r" }]);
  expect(await load("beavertails", "a.csv", "prompt,response,is_safe\np,r,False\ns,r,True\nt,r,1\n")).toEqual([
    { instruction: "p", input: "", output: "r" },
  ]);
  await expect(load("beavertails", "b.csv", "prompt,response,is_safe\np,r,False\ns,r,maybe\n")).rejects.toThrow(
    /b\.csv:3 FLAG_INVALID/,
  );
  const refusal = JSON.stringify({ refusal: "Question: Q?\nAnswer: No.\nAnswer: never" });
  expect(await load("beavertails-refusals", "b.jsonl", refusal)).toEqual([
    { instruction: "Q?", input: "", output: "No.\nAnswer: never" },
  ]);
  await expect(load("beavertails-refusals", "c.jsonl", '{"refusal": "no"}')).rejects.toThrow(
    /c\.jsonl:1 REFUSAL_INVALID/,
  );
});

test("AlpacaEval and safe answers", async () => {
  const rows = '[{"instruction": "i", "input": "", "output": "o", "generator": "g"}]';
  const expected = [{ instruction: "i", input: "", output: "o" }];
  expect(await load("alpaca-eval", "a.json", rows)).toEqual(expected);
  expect(await load("safe-answers", "a.json", rows)).toEqual(expected);
  await expect(load("gsm8k", "a.json", rows)).rejects.toThrow(/COLUMN_MISSING.*question/);
});

test("the labels of a classification task stand for its answers, whatever the file holds them as", async () => {
  for (const [name, columns, first] of [
    ["sst2", ["sentence", "label"], 0],
    ["agnews", ["text", "label"], 0],
    ["agnews", ["class", "title", "description"], 1],
  ] as const) {
    const { layouts } = TASKS[name];
    expect(layouts).toContainEqual(columns);
    const answers = name === "sst2" ? ["negative", "positive"] : ["World", "Sports", "Business", "Sci/Tech"];
    for (const [place, answer] of answers.entries()) {
      const values = columns.map((column) => [column, /label|class/.test(column) ? place + first : "words"]);
      const [number, text] = [Object.fromEntries(values), Object.fromEntries(values.map(([c, v]) => [c, String(v)]))];
      const examples = await load(name, "labels.jsonl", `${JSON.stringify(number)}\n${JSON.stringify(text)}\n`);
      expect(examples.map(({ output }) => output)).toEqual([answer, answer]);
    }
  }
});
