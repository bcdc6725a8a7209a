import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { findDuplicates } from "../src/data/duplicates.ts";
import { type Example, questionOf } from "../src/data/examples.ts";
import { loadExamples } from "../src/data/load.ts";
import { SourceOptions } from "../src/data/options.ts";
import { disjointSets } from "../src/data/split.ts";
import { sharedPath } from "./shared.ts";

const inputs = sharedPath("cases", "inputs");
const load = (file: string, options = {}) =>
  loadExamples(SourceOptions.parse({ path: join(inputs ?? "", file), ...options }));
/** What is asked and answered, a list for each row. */
const said = (example: Example) =>
  example.kind === "chat"
    ? example.messages.map(({ role, content }) => `${role}: ${content}`)
    : [example.instruction, example.input, example.output].filter((text) => text !== "");

const data = sharedPath("data", "alpaca_5000.json");
test.skipIf(!data)("C24: no row of Alpaca's first 5000 repeats another one exactly", async () => {
  const { examples } = await loadExamples({ path: data ?? "" });
  expect(findDuplicates(examples.map(questionOf)).filter(({ similarity }) => similarity === 1)).toEqual([]);
});

/** Files of public reports: `cases/README.md`. The values are what Python's json, csv and pandas read of them. */
describe.skipIf(!inputs)("cases of data files", () => {
  test.each([
    [
      "d-history.json",
      [
        [
          "system: You are a terse geographer.",
          "user: What is the capital of France?",
          "assistant: Paris.",
          "user: Is it large?",
          "assistant: Yes.",
          "user: And its population?",
          "assistant: About two million.",
        ],
        ["Translate to German.", "good morning", "Guten Morgen."],
      ],
    ],
    [
      "d-inch.csv",
      [
        ['My screen is 24" wide', "Nice"],
        ['A 27" one too', "Great"],
        ["plain", "fine"],
      ],
    ],
    [
      "d-cr.csv",
      [
        ["hello", "world"],
        ["foo", "bar"],
      ],
    ],
    ["d-sharegpt.jsonl", [["system: Be brief.", "user: Hi", "assistant: Hello."]]],
    ["d-trl-pc.jsonl", [["user: Say A.", "assistant: A"]]],
    ["d-trl-pref.jsonl", [["Say A.", "A"]]],
    ["chat-parts.jsonl", [["user: What is 2+2?", "assistant: It is 4."]]],
    ["chat-nullcontent.jsonl", [["user: Weather in Rome?", "assistant: ", "tool: 20", "assistant: 20 degrees."]]],
    [
      "d-beaver.jsonl.gz",
      [
        ["How to pick a lock?", "No."],
        ["How to X?", "Do Y."],
      ],
    ],
    [
      "d-lines.json",
      [
        ["Say A.", "A"],
        ["Say B.", "B"],
      ],
    ],
    ["d-wrapped.json", [["Say A.", "A"]]],
    ["d-advbench.jsonl", [["g", "Sure, here is"]]],
    ["d-saferlhf.jsonl", [["p", "b"]]],
    ["d-utf16.csv", [["hello", "world"]]],
    ["d-semicolon.csv", [["hello", "world"]]],
    [
      "d-quoted.tsv",
      [
        ['He said "hi"', "ok"],
        ["two\nlines", "b"],
      ],
    ],
    [
      "d-spacequote.csv",
      [
        ['say "x" ', "ok "],
        [' "leading space quote"', "b"],
      ],
    ],
    ["d-bom-crlf.csv", [['He said "hi", twice', "ok"], ["two\nlines", "a, b"], ["empty prompt"]]],
    [
      "d-u2028.jsonl",
      [
        ["a\u2028b", "x"],
        ["b", "y"],
      ],
    ],
    ["p-messages-structoflists.parquet", [["user: Say A.", "assistant: A"]]],
  ])("%s", async (file, rows) => expect((await load(file)).examples.map(said)).toEqual(rows));

  test("as harmful data BeaverTails' task takes the unsafe rows, also packed", async () => {
    expect((await load("d-beaver.jsonl.gz", { task: "beavertails" })).examples.map(said)).toEqual([
      ["How to X?", "Do Y."],
    ]);
  });

  test("C24: rows with the same input, or with none in words, are other questions", async () => {
    const [{ examples: train }, { examples: heldOut }] = [await load("noinput.json"), await load("noinput-test.json")];
    expect(disjointSets({ heldOut, train }).train.removed).toEqual([]);
  });

  test("C33: windows-1252 is refused where it is not told, and read where it is", async () => {
    await expect(load("d-latin1.csv")).rejects.toThrow(/d-latin1\.csv:2:4 INVALID_UTF8.*windows-1252/);
    expect((await load("d-latin1.csv", { encoding: "windows-1252" })).examples.map(said)).toEqual([
      ["caf\u00e9", "yes"],
    ]);
  });

  test("C34: half a pair is told in its column", async () => {
    await expect(load("d-surrogate.jsonl")).rejects.toThrow(/d-surrogate\.jsonl:1:41 LONE_SURROGATE/);
  });

  test.each([
    ["d-backslash.csv", /2:1 COLUMN_COUNT/],
    ["d-dup.jsonl", /1:30 JSON_DUPLICATE_KEY/],
    ["d-nan.jsonl", /1:36 JSON_INVALID/],
    ["d-numberoutput.jsonl", /:1 COLUMN_NOT_TEXT/],
    ["d-trailingcomma.jsonl", /1:33 JSON_INVALID/],
    ["p-messages-nullrow.parquet", /:2 MESSAGES_INVALID[\s\S]*:3 MESSAGES_INVALID/],
    ["p-text-nullresponse.parquet", /:2 COLUMN_NOT_TEXT/],
    ["p-empty.parquet", /no rows/],
  ])("%s is refused with its line", (file, problem) => expect(load(file)).rejects.toThrow(problem));

  test.each([
    "dict",
    "plain",
    "delta",
    "lz4",
    "gzip",
    "none-v2",
    "smallpages",
    "large-dictionary",
    "binary",
    "stringview",
  ])("p-text-%s.parquet", async (encoding) => {
    const { examples } = await load(`p-text-${encoding}.parquet`);
    expect(examples.length).toBe(400);
    expect(said(examples[7] as Example)).toEqual(["prompt number 7 with a shared prefix \u00e9\u{1f600}", "no"]);
  });

  test.each(["snappy", "zstd-v2", "brotli-v26", "noncompliant"])("p-messages-%s.parquet", async (written) => {
    expect((await load(`p-messages-${written}.parquet`)).examples.map(said)).toEqual([
      ["user: Say A.", "assistant: A"],
      ["system: Be brief.", "user: Say B.", "assistant: B", "user: C?", "assistant: C"],
      ["user: Say A.", "assistant: A"],
    ]);
  });
});
