import { describe, expect, test } from "vitest";
import { dataFiles } from "./data-files.ts";
import { fits, globOf } from "./glob.ts";
import { modelFiles } from "./model-files.ts";
import { hubReferenceText, isHubReference, parseHubReference, publicName } from "./reference.ts";

const code = (action: () => unknown): string | undefined => {
  try {
    action();
    return undefined;
  } catch (error) {
    return (error as { code: string }).code;
  }
};

describe("references", () => {
  test.each([
    ["hf:org/name", { kind: "model", name: "org/name", revision: "main", part: undefined }],
    ["hf:_org/_name", { kind: "model", name: "_org/_name", revision: "main", part: undefined }],
    ["hf:gpt2", { kind: "model", name: "gpt2", revision: "main", part: undefined }],
    ["hf:org/name@refs/pr/1:a/b.gguf", { kind: "model", name: "org/name", revision: "refs/pr/1", part: "a/b.gguf" }],
    [
      "hf-data:org/na.me_1@v1.0:main/train",
      { kind: "dataset", name: "org/na.me_1", revision: "v1.0", part: "main/train" },
    ],
    ["hf-data:org/name:data/*.jsonl", { kind: "dataset", name: "org/name", revision: "main", part: "data/*.jsonl" }],
  ])("%s", (text, parsed) => {
    expect(parseHubReference(text)).toEqual(parsed);
    expect(hubReferenceText(parseHubReference(text))).toBe(text);
  });

  test.each([
    "hf:",
    "hf:org/",
    "hf:/name",
    "hf:a/b/c",
    "hf:org/..",
    "hf:org--x/name",
    "hf:org/name@",
    "hf:org/name@../x",
    "hf:org/name@/x",
    "hf:org/name:",
    "hf:org/name:../x.gguf",
    "hf:org/name:/x",
    "hf:org/name\n",
    `hf:org/${"a".repeat(100)}`,
    `hf:org/name:${"a".repeat(2000)}`,
    "hf-data:org/name:a//b",
  ])("not %j", (text) => {
    expect(isHubReference(text)).toBe(true);
    expect(code(() => parseHubReference(text))).toBe("HUB_REFERENCE_INVALID");
  });

  test("other programs know the repository by its name, and paths as they are", () => {
    expect(publicName("hf:org/name@v1:x.gguf")).toBe("org/name");
    expect(publicName("models/hf")).toBe("models/hf");
  });
});

describe("files of a model", () => {
  const choose = (paths: readonly string[], file?: string, texts: Readonly<Record<string, string>> = {}) =>
    modelFiles(paths, file, (path) => texts[path], "hf:org/name");

  test.each([
    [
      "weights in one file come before those in shards",
      ["config.json", "model.safetensors", "model.safetensors.index.json"],
      ["config.json", "model.safetensors"],
    ],
    [
      "an adapter",
      ["adapter_config.json", "adapter_model.safetensors", "README.md", "optimizer.pt"],
      ["adapter_config.json", "README.md", "adapter_model.safetensors"],
    ],
    [
      "a tokenizer alone",
      ["tokenizer.json", "tokenizer_config.json", "README.md"],
      ["tokenizer.json", "tokenizer_config.json", "README.md"],
    ],
    ["the only GGUF file", ["config.json", "README.md", "m.gguf"], ["m.gguf"]],
    [
      "only what lies at the top",
      ["config.json", "model.safetensors", "onnx/config.json", "x/model.safetensors"],
      ["config.json", "model.safetensors"],
    ],
  ])("%s", (_, paths, chosen) => expect(choose(paths)).toEqual(chosen));

  test("what an index names, once it can be read; nothing but plain names", () => {
    const paths = ["config.json", "model.safetensors.index.json"];
    expect(choose(paths)).toEqual(paths);
    const index = (map: unknown) => ({ "model.safetensors.index.json": JSON.stringify({ weight_map: map }) });
    expect(choose(paths, undefined, index({ a: "b.safetensors", c: "b.safetensors" }))).toEqual([
      ...paths,
      "b.safetensors",
    ]);
    for (const map of [{ a: "../x.safetensors" }, { a: "/x.safetensors" }, { a: 1 }, { a: "x.bin" }, {}, [], null]) {
      expect(code(() => choose(paths, undefined, index(map)))).toBe("HUB_ANSWER_INVALID");
    }
    expect(code(() => choose(paths, undefined, { "model.safetensors.index.json": "{" }))).toBe("HUB_ANSWER_INVALID");
  });
});

describe("files of data", () => {
  const choose = (paths: readonly string[], part?: string, card?: string) =>
    dataFiles(card === undefined ? paths : [...paths, "README.md"], part, () => card, "hf-data:org/name");
  const parquet = (split: string) => `data/${split}-00000-of-00001.parquet`;

  test.each<[string, readonly string[], string | undefined, readonly string[]]>([
    ["the split for training by default", [parquet("test"), parquet("train")], undefined, [parquet("train")]],
    [
      "another split",
      [parquet("test"), parquet("train"), parquet("validation")],
      "validation",
      [parquet("validation")],
    ],
    [
      "shards",
      ["a/train-00001-of-00002.parquet", "a/train-00000-of-00002.parquet"],
      undefined,
      ["a/train-00000-of-00002.parquet", "a/train-00001-of-00002.parquet"],
    ],
    [
      "splits of other names",
      ["data/30k_train-00000-of-00001.parquet", "data/330k_train-00000-of-00001.parquet"],
      "30k_train",
      ["data/30k_train-00000-of-00001.parquet"],
    ],
    ["plain names", ["train.jsonl", "test.jsonl", "dataset_infos.json"], "test", ["test.jsonl"]],
    ["a development split", ["train.tsv", "dev.tsv"], "validation", ["dev.tsv"]],
    ["one file for all", ["all.json"], undefined, ["all.json"]],
    ["the only split", ["test.csv"], undefined, ["test.csv"]],
    [
      "a file",
      ["round0/30k/train.jsonl.gz", "round0/330k/train.jsonl.gz"],
      "round0/30k/train.jsonl.gz",
      ["round0/30k/train.jsonl.gz"],
    ],
    [
      "a folder and a split",
      ["main/train-00000-of-00001.parquet", "main/test-00000-of-00001.parquet", "socratic/test-00000-of-00001.parquet"],
      "main/test",
      ["main/test-00000-of-00001.parquet"],
    ],
    ["a folder", ["en/train.jsonl", "en/test.jsonl", "de/train.jsonl"], "en", ["en/train.jsonl"]],
    ["a pattern", ["a/1.jsonl", "a/2.jsonl", "b/1.jsonl", "a/b/1.jsonl"], "a/*.jsonl", ["a/1.jsonl", "a/2.jsonl"]],
    ["a pattern over folders", ["a/1.jsonl", "a/b/1.jsonl", "b.txt"], "**/1.jsonl", ["a/1.jsonl", "a/b/1.jsonl"]],
    [
      "any seed",
      ["rows-1.jsonl", "rows-2.jsonl", "other.jsonl"],
      "rows-{seed}.jsonl",
      ["rows-1.jsonl", "rows-2.jsonl"],
    ],
  ])("%s", (_, paths, part, chosen) => expect(choose(paths, part)).toEqual(chosen));

  const card = `---
license: mit
configs:
- config_name: main
  default: true
  data_files:
  - split: train
    path: x/*.jsonl
  - split: held_out
    path:
    - y/1.jsonl
    - y/2.jsonl
- config_name: other
  data_dir: z
---
# Rows`;
  const paths = ["x/1.jsonl", "y/1.jsonl", "y/2.jsonl", "z/test.jsonl", "z/train.jsonl"];

  test.each<[string | undefined, readonly string[]]>([
    [undefined, ["x/1.jsonl"]],
    ["train", ["x/1.jsonl"]],
    ["held_out", ["y/1.jsonl", "y/2.jsonl"]],
    ["main/held_out", ["y/1.jsonl", "y/2.jsonl"]],
    ["other", ["z/train.jsonl"]],
    ["other/test", ["z/test.jsonl"]],
    ["z/test.jsonl", ["z/test.jsonl"]],
  ])("by its card: %s", (part, chosen) => expect(choose(paths, part, card)).toEqual(chosen));

  test("a card that is not there yet is all that is named", () => {
    expect(dataFiles(["README.md", "train.jsonl"], undefined, () => undefined, "hf-data:a/b")).toEqual(["README.md"]);
    expect(dataFiles(["README.md", "train.jsonl"], "train.jsonl", () => undefined, "hf-data:a/b")).toEqual([
      "train.jsonl",
    ]);
  });

  test.each<[string, readonly string[], string | undefined, string | undefined, string]>([
    ["no data", ["a.txt", "train.py", "model.safetensors"], undefined, undefined, "HUB_NOTHING_READABLE"],
    [
      "several splits, none of them for training",
      ["test.csv", "validation.csv"],
      undefined,
      undefined,
      "HUB_FILE_UNCLEAR",
    ],
    ["several configurations", paths, undefined, card.replace("  default: true\n", ""), "HUB_FILE_UNCLEAR"],
    ["the same split in two forms", ["train.csv", "train.jsonl"], undefined, undefined, "HUB_FILE_UNCLEAR"],
    ["the same split in two folders", ["a/train.jsonl", "b/train.jsonl"], undefined, undefined, "HUB_FILE_UNCLEAR"],
    ["an unknown split", ["train.csv"], "test", undefined, "HUB_NOT_FOUND"],
    ["a file that is not there", paths, "z/other.jsonl", card, "HUB_NOT_FOUND"],
    ["a card that is no YAML", paths, undefined, "---\n: [\n---\n", "HUB_ANSWER_INVALID"],
    ["a card that says something else", paths, undefined, "---\nconfigs: 7\n---\n", "HUB_ANSWER_INVALID"],
  ])("refused: %s", (_, files, part, text, expected) => expect(code(() => choose(files, part, text))).toBe(expected));
});

test("patterns of paths, and one that would keep a regular expression busy for ever", () => {
  const long = `${"a/".repeat(200)}b`;
  for (const [pattern, path, expected] of [
    ["data/*.jsonl", "data/a.jsonl", true],
    ["data/*.jsonl", "data/en/a.jsonl", false],
    ["data/**/*.jsonl", "data/en/de/a.jsonl", true],
    ["**/*.jsonl", "a.jsonl", true],
    ["data/**", "data/en/a.jsonl", true],
    ["**", "data/en/a.jsonl", true],
    ["./data/?.csv", "data/a.csv", true],
    ["/data/?.csv", "data/ab.csv", false],
    ["a*b*c", "aXbXbXc", true],
    ["a*b*c", "aXbX", false],
    ["[a].csv", "a.csv", false],
    ["𝄞?.csv", "𝄞𝄞.csv", true],
    [`${"**/".repeat(100)}c`, long, false],
    [`${"*a".repeat(100)}*c`, "a".repeat(1000), false],
  ] as const) {
    expect([pattern, fits(globOf(pattern), path)]).toEqual([pattern, expected]);
  }
});
