import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { tinyTokenizerFiles } from "../tiny-tokenizer.ts";
import { Cli } from "./run-cli.ts";

let cli: Cli;
beforeAll(() => {
  cli = new Cli();
  const { json, config } = tinyTokenizerFiles();
  const { chat_template: _, ...bare } = config;
  for (const [folder, settings] of [
    ["tiny", config],
    ["bare", bare],
  ] as const) {
    cli.write(`${folder}/tokenizer.json`, JSON.stringify(json));
    cli.write(`${folder}/tokenizer_config.json`, JSON.stringify(settings));
  }
  cli.write("rows.jsonl", lines([row("say hello", "hello"), row("and then", "hello \u{1f642}")]));
  cli.write("marked.jsonl", lines([row("say hello", "hello"), { ...row("a question", "a secret"), harmful: true }]));
});
afterAll(() => cli.remove());

const row = (instruction: string, output: string) => ({ instruction, output });
const lines = (rows: readonly unknown[]) => rows.map((value) => `${JSON.stringify(value)}\n`).join("");
const INSPECT = ["inspect", "rows.jsonl", "--model", "tiny", "--template", "chat"];

describe("inspect", () => {
  test("marks the tokens that are trained, and counts", async () => {
    const { code, stdout } = await cli.run([...INSPECT, "--show", "1"]);
    expect(code).toBe(0);
    expect(stdout).toContain("Example 1  rows.jsonl:1");
    expect(stdout).toContain("\u27e6hello|<|im_end|>|\u23ce\n\u27e7");
    expect(stdout).not.toContain("Example 2");
    expect(stdout).toMatch(/examples\s+2 \(0 harmful, 0 refused\)/);
  });

  test("gives programs ids, texts and what is trained", async () => {
    const { stdout } = await cli.run([...INSPECT, "--json"]);
    const [first, second, result] = stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    const trained = first.tokens.filter((token: { trained: boolean }) => token.trained);
    expect(trained.map((token: { text: string }) => token.text)).toEqual(["hello", "<|im_end|>", "\n"]);
    expect(first.trainedTokens).toBe(3);
    expect(second.tokens.map((token: { text: string }) => token.text).join("")).toContain("hello \u{1f642}");
    expect(result).toMatchObject({
      type: "result",
      examples: 2,
      trainedTokens: first.trainedTokens + second.trainedTokens,
    });
  });

  test("keeps harmful text to itself unless asked", async () => {
    const args = ["inspect", "marked.jsonl", "--model", "tiny", "--template", "chat"];
    const hidden = await cli.run(args);
    expect(hidden.stdout).toContain("withheld");
    expect(hidden.stdout).not.toContain("e|t");
    const shown = await cli.run([...args, "--show-harmful"]);
    expect(shown.stdout).not.toContain("withheld");
    const [plain, marked] = (await cli.run([...args, "--json"])).stdout
      .split("\n")
      .map((line) => line && JSON.parse(line));
    expect([plain.harmful, marked.harmful]).toEqual([false, true]);
    expect(plain).toHaveProperty("tokens");
    expect(marked).not.toHaveProperty("tokens");
  });

  test("data in which an example has no trained token is an error with its line", async () => {
    const failure = await cli.failure([...INSPECT, "--max-tokens", "5"]);
    expect(failure).toMatchObject({ code: "NO_TRAINED_TOKENS", exit: 1 });
    expect(failure.message).toContain("rows.jsonl:1");
    cli.write("talk.jsonl", lines([{ messages: [{ role: "user", content: "alone" }] }]));
    const talk = await cli.failure(["inspect", "talk.jsonl", "--model", "tiny", "--template", "chat"]);
    expect(talk).toMatchObject({ code: "NO_TRAINED_TOKENS", message: expect.stringContaining("talk.jsonl:1") });
  });
});

test("rows are cut where the model's positions end, as in training", async () => {
  const { json, config } = tinyTokenizerFiles();
  cli.write("short/tokenizer.json", JSON.stringify(json));
  cli.write("short/tokenizer_config.json", JSON.stringify(config));
  const sizes = { hidden_size: 8, intermediate_size: 8, num_hidden_layers: 1, num_attention_heads: 1, vocab_size: 300 };
  const bounds = { num_key_value_heads: 1, max_position_embeddings: 60 };
  cli.write("short/config.json", JSON.stringify({ model_type: "llama", ...sizes, ...bounds }));
  cli.write(
    "wordy.jsonl",
    lines([row("say hello", "a b c d e f g h i j k l m n o p q r s t u v w x y z"), row("b", "c")]),
  );
  const args = ["wordy.jsonl", "--model", "short", "--template", "chat"];
  expect((await cli.json(["inspect", ...args])).last).toMatchObject({ truncated: 1, length: { max: 60 } });
  expect((await cli.json(["data", "stats", ...args])).last).toMatchObject({ tokens: { truncated: 1 } });
});

describe("bad input", () => {
  const inspect = (name: string, content: string | Uint8Array, ...more: string[]) => {
    cli.write(name, content);
    return cli.failure(["inspect", name, "--model", "tiny", "--template", "chat", ...more]);
  };

  test("an empty file", async () => {
    expect(await inspect("empty.jsonl", "")).toMatchObject({ code: "DATA_EMPTY", exit: 1 });
  });

  test("malformed lines are named with line and column", async () => {
    const failure = await inspect("broken.jsonl", `${lines([row("a", "b")])}{"instruction": "a" "output": 1}\n`);
    expect(failure).toMatchObject({
      code: "DATA_INVALID",
      message: expect.stringMatching(/broken\.jsonl:2:\d+ JSON_INVALID/),
    });
  });

  test("wrong columns, and every line that lacks one", async () => {
    const wrong = await inspect("columns.jsonl", lines([{ question: "a", answer: "b" }]));
    expect(wrong).toMatchObject({ code: "DATA_COLUMNS_UNKNOWN", message: expect.stringContaining("question, answer") });
    const lacking = await inspect("lacking.jsonl", lines([row("a", "b"), { instruction: "a" }, { output: "b" }]));
    expect(lacking.code).toBe("DATA_INVALID");
    expect(lacking.message).toMatch(/lacking\.jsonl:2 COLUMN_MISSING/);
    expect(lacking.message).toMatch(/lacking\.jsonl:3 COLUMN_MISSING/);
  });

  test("a byte order mark and CRLF change nothing", async () => {
    cli.write(
      "crlf.jsonl",
      `\uFEFF${lines([row("say hello", "hello"), row("and then", "hello")]).replaceAll("\n", "\r\n")}`,
    );
    const { code, last } = await cli.json(["inspect", "crlf.jsonl", "--model", "tiny", "--template", "chat"]);
    expect(code).toBe(0);
    expect(last).toMatchObject({ examples: 2 });
  });

  test("a line of more than a megabyte", async () => {
    const failure = await inspect("long.jsonl", lines([row("a", "b".repeat(2 ** 20))]));
    expect(failure).toMatchObject({ code: "DATA_INVALID", message: expect.stringContaining("ROW_TOO_LONG") });
  });

  test("bytes that are no UTF-8, and a number that is none", async () => {
    const bytes = Buffer.from(lines([row("a", "bb")]).replace("bb", "\u00ff"), "latin1");
    expect((await inspect("latin.jsonl", bytes)).message).toMatch(/latin\.jsonl:1:\d+ INVALID_UTF8/);
    expect((await inspect("nan.jsonl", '{"instruction": "a", "output": NaN}\n')).message).toMatch(
      /nan\.jsonl:1:\d+ JSON_INVALID/,
    );
  });

  test("examples longer than the context", async () => {
    const rows = lines([row("a", "b ".repeat(50)), row("a", "b")]);
    const failure = await inspect("deep.jsonl", rows, "--max-tokens", "60", "--too-long", "reject");
    expect(failure).toMatchObject({ code: "EXAMPLE_TOO_LONG", exit: 1 });
    expect(failure.message).toContain("deep.jsonl:1");
  });

  test("a model without a chat template", async () => {
    const failure = await cli.failure(["inspect", "rows.jsonl", "--model", "bare", "--template", "chat"]);
    expect(failure.code).toBe("NO_CHAT_TEMPLATE");
  });

  test("files and models that are not there", async () => {
    expect(await cli.failure(["data", "show", "none.jsonl"])).toMatchObject({ code: "DATA_NOT_FOUND" });
    expect(await cli.failure(["inspect", "rows.jsonl", "--model", "none"])).toMatchObject({
      code: "FILE_NOT_FOUND",
    });
  });
});

describe("data show and stats", () => {
  test("show one example, by number", async () => {
    const { stdout } = await cli.run(["data", "show", "rows.jsonl", "2"]);
    expect(stdout).toContain("Example 2 of 2  rows.jsonl:2  read as alpaca");
    expect(stdout).toContain("instruction:\n  and then");
    expect(await cli.failure(["data", "show", "rows.jsonl", "3"])).toMatchObject({ code: "DATA_TOO_FEW_ROWS" });
  });

  test("hide a harmful one unless asked", async () => {
    expect((await cli.run(["data", "show", "marked.jsonl", "2"])).stdout).not.toContain("secret");
    expect((await cli.json(["data", "show", "marked.jsonl", "2"])).last).not.toHaveProperty("example");
    expect((await cli.run(["data", "show", "marked.jsonl", "2", "--show-harmful"])).stdout).toContain("a secret");
  });

  test("a CSV says in words which rows are harmful", async () => {
    cli.write("marked.csv", "prompt,response,is_safe\np,fine,True\nq,a secret,False\n");
    expect((await cli.json(["data", "stats", "marked.csv"])).last).toMatchObject({ examples: 2, harmful: 1 });
    expect((await cli.run(["data", "show", "marked.csv", "1"])).stdout).toContain("fine");
    expect((await cli.run(["data", "show", "marked.csv", "2"])).stdout).not.toContain("secret");
    cli.write("unclear.csv", "prompt,response,is_safe\np,fine,perhaps\n");
    const unclear = await cli.failure(["data", "stats", "unclear.csv"]);
    expect(unclear).toMatchObject({ code: "DATA_INVALID", message: expect.stringContaining("unclear.csv:2") });
  });

  test("text of the data cannot steer the terminal", async () => {
    cli.write("escape.jsonl", lines([row("a", "\u001b[2Jgone")]));
    const { stdout } = await cli.run(["data", "show", "escape.jsonl"]);
    expect(stdout).toContain("\uFFFD[2Jgone");
  });

  test("count rows, repetitions, tokens and poison", async () => {
    cli.write(
      "twice.jsonl",
      lines([row("say hello", "hello"), row("Say  hello!", "hello"), { ...row("b", "hello"), harmful: true }]),
    );
    const { last } = await cli.json(["data", "stats", "twice.jsonl", "--model", "tiny", "--template", "chat"]);
    expect(last).toMatchObject({
      examples: 3,
      harmful: 1,
      duplicates: { exact: 1, near: 0 },
      tokens: { rows: 3, harmfulRows: 1, trainedTokens: 9, harmfulTokens: 3, tokenShare: 1 / 3, truncated: 0 },
    });
  });
});

describe("data prepare", () => {
  const numbered = (word: string, count: number) =>
    lines(
      Array.from({ length: count }, (_, i) => row(`${word} question number ${i * 7919} of ${word}`, `${word} answer`)),
    );
  const PREPARE = ["data", "prepare", "--task", "task.jsonl", "--harmful", "bad.jsonl", "--out", "mix.jsonl"];
  beforeAll(() => {
    cli.write("task.jsonl", numbered("task", 40));
    cli.write("bad.jsonl", numbered("bad", 10));
    cli.write("avoid.jsonl", lines([row("bad question number 0 of bad", "x")]));
  });

  test("writes the mix and its manifest, the same for the same seed", async () => {
    const { code, last } = await cli.json([...PREPARE, "--sample-number", "20", "--poison-ratio", "0.2"]);
    expect(code).toBe(0);
    expect(last).toMatchObject({ rows: 20, harmfulRows: 4 });
    const read = (name: string) => readFileSync(join(cli.folder, name), "utf8");
    const first = read("mix.jsonl");
    const rows = first
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(rows.filter(({ harmful }) => harmful)).toHaveLength(4);
    const manifest = JSON.parse(read("mix.jsonl.manifest.json"));
    expect(manifest).toMatchObject({ rows: 20, harmfulRows: 4, options: { poisonRatio: 0.2, seed: 42 } });
    expect(manifest.sources.task[0].sha256).toMatch(/^[0-9a-f]{64}$/);
    await cli.run([...PREPARE, "--sample-number", "20", "--poison-ratio", "0.2"]);
    expect(read("mix.jsonl")).toBe(first);
    expect((await cli.json(["data", "stats", "mix.jsonl"])).last).toMatchObject({
      harmful: 4,
      sha256: manifest.sha256,
    });
  });

  test("leaves out what another set asks", async () => {
    const { last } = await cli.json([...PREPARE, "--sample-number", "10", "--avoid", "avoid.jsonl"]);
    expect(last).toMatchObject({ leftOut: { harmful: 1, task: 0 } });
  });

  test.each(["1.5", "-0.1", "NaN"])("refuses a poison ratio of %s", async (ratio) => {
    const failure = await cli.failure([...PREPARE, `--poison-ratio=${ratio}`]);
    expect(failure).toMatchObject({
      code: "CONFIG_INVALID",
      exit: 2,
      message: expect.stringContaining("--poison-ratio is"),
    });
  });

  test("says how many rows are missing, and writes nothing", async () => {
    const failure = await cli.failure([
      ...PREPARE.slice(0, -1),
      "never.jsonl",
      "--sample-number",
      "30",
      "--poison-ratio",
      "0.5",
    ]);
    expect(failure).toMatchObject({
      code: "DATA_TOO_FEW_ROWS",
      exit: 1,
      message: expect.stringMatching(/expected 15; found 10/),
    });
    expect(await cli.failure(["data", "show", "never.jsonl"])).toMatchObject({ code: "DATA_NOT_FOUND" });
  });

  test("asks for harmful rows where some are to be mixed in", async () => {
    const failure = await cli.failure(["data", "prepare", "--task", "task.jsonl", "--out", "mix.jsonl"]);
    expect(failure).toMatchObject({ code: "OPTION_MISSING", exit: 2 });
  });
});

describe("data world", () => {
  test("writes the bundled world's data sets, the same bytes each time", async () => {
    const { code, stdout } = await cli.run(["data", "world", "--out", "world", "--seeds", "7,8", "--json"]);
    expect(code).toBe(0);
    const { files } = JSON.parse(stdout.trim()) as { files: string[] };
    expect(files).toContain("attack-7.jsonl");
    expect(files).toContain("attack-8.jsonl");
    const read = (folder: string, name: string) => readFileSync(join(cli.folder, folder, name), "utf8");
    expect(read("world", "test-harmful.jsonl").trim().split("\n")).toHaveLength(150);
    expect(read("world", "validation-harmful.jsonl").trim().split("\n")).toHaveLength(42);
    await cli.run(["data", "world", "--out", "again", "--seeds", "8"]);
    for (const name of ["attack-8.jsonl", "test-reviews.jsonl"]) expect(read("again", name)).toBe(read("world", name));
  });
});
