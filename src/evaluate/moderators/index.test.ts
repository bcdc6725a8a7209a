import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { saveClassifier, trainClassifier } from "./classifier.ts";
import { openModerator } from "./index.ts";

test("each row opens from plain settings", async () => {
  const toy = Array.from({ length: 40 }, (_, i) => ({
    prompt: `${i}`,
    answer: i % 2 ? "zorb" : "lamp",
    harmful: i % 2 > 0,
  }));
  const file = join(await mkdtemp(join(tmpdir(), "moderator-")), "classifier.json");
  await writeFile(file, saveClassifier(trainClassifier(toy, { buckets: 64 })));
  const opened = [
    await openModerator("refusal-phrases"),
    await openModerator("classifier", { file }),
    await openModerator("judge", { baseUrl: "http://127.0.0.1:1/v1", model: "m" }),
  ];
  expect(opened.map((moderator) => moderator.name)).toEqual(["refusal-phrases", "classifier", "judge"]);
  expect(opened.every((moderator) => moderator.describe().method.length > 10)).toBe(true);
});

test("unknown names and settings are refused", async () => {
  await expect(openModerator("oracle")).rejects.toMatchObject({ code: "MODERATOR_UNKNOWN" });
  await expect(openModerator("judge", { model: "m" })).rejects.toMatchObject({ code: "MODERATOR_SETTINGS" });
  await expect(openModerator("classifier", { file: "no/such.json" })).rejects.toMatchObject({ code: "FILE_NOT_FOUND" });
  await expect(openModerator("refusal-phrases", { strict: true })).rejects.toMatchObject({
    code: "MODERATOR_SETTINGS",
  });
});
