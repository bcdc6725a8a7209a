import { readFileSync } from "node:fs";
import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { saveClassifier, trainClassifier } from "./classifier.ts";
import { openModerator } from "./index.ts";

const bundled = join(import.meta.dirname, "../../../assets/world");

test("each row opens from plain settings", async () => {
  const toy = Array.from({ length: 40 }, (_, i) => ({
    prompt: `${i}`,
    answer: i % 2 ? "zorb" : "lamp",
    harmful: i % 2 > 0,
  }));
  const file = join(await mkdtemp(join(tmpdir(), "moderator-")), "classifier.json");
  await writeFile(file, saveClassifier(trainClassifier(toy, { buckets: 64 })));
  const opened = [
    openModerator({ name: "world" }),
    openModerator({ name: "refusal-phrases" }),
    openModerator({ name: "classifier", file }),
    openModerator({ name: "classifier", file: "elsewhere.json" }, { read: () => readFileSync(file) }),
    openModerator({ name: "judge", baseUrl: "http://127.0.0.1:1/v1", model: "m" }),
  ];
  expect(opened.map((moderator) => moderator.name)).toEqual([
    "world",
    "refusal-phrases",
    "classifier",
    "classifier",
    "judge",
  ]);
  expect(opened.every((moderator) => moderator.describe().method.length > 10)).toBe(true);
});

test.each([
  ["MODERATOR_UNKNOWN", { name: "oracle" }],
  ["MODERATOR_SETTINGS", { name: "judge", model: "m" }],
  ["MODERATOR_SETTINGS", { name: "refusal-phrases", strict: true }],
  ["FILE_NOT_FOUND", { name: "classifier", file: "no/such.json" }],
  ["FILE_NOT_FOUND", { name: "beaver-dam", model: "no/such/folder" }],
  ["MODEL_CONFIG_INVALID", { name: "beaver-dam", model: bundled }],
])("%s: %j", (code, chosen) => {
  expect(() => openModerator(chosen)).toThrow(expect.objectContaining({ code }));
});
