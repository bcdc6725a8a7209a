import { cpSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { sharedPath } from "../../../test/shared.ts";
import { loadTokenizer } from "../../formats/tokenizer-files.ts";
import { encodeBeaverDam, flagged } from "./beaver-dam.ts";
import { openModerator } from "./index.ts";

test("flagged where any score is greater than the threshold, not equal", () => {
  const labels = ["a", "b", "c"];
  expect(flagged(labels, [0.5, 0.2, 0.1], 0.5)).toEqual({ harmful: false, probability: 0.5, categories: [] });
  expect(flagged(labels, [0.6, 0.2, 0.9], 0.5)).toEqual({ harmful: true, probability: 0.9, categories: ["a", "c"] });
});

const fixture = sharedPath("fixtures", "llama-classifier");

describe.skipIf(fixture === undefined)("on the fixture of a moderation model", () => {
  const model = join(fixture ?? "", "model");

  test("the end token is written once, and cut off with the end of a long answer", () => {
    const tokenizer = loadTokenizer(model);
    const ids = encodeBeaverDam(tokenizer, { prompt: "q", answer: "a</s>" }, 256);
    expect(ids.filter((id) => id === 2)).toEqual([2]);
    expect(encodeBeaverDam(tokenizer, { prompt: "q", answer: "a" }, 256)).toEqual(ids);
    expect(encodeBeaverDam(tokenizer, { prompt: "q", answer: "a" }, 10)).toEqual(ids.slice(0, 10));
  });

  test("a verdict has its kinds of harm, whatever stands beside it", async () => {
    const moderator = openModerator({ name: "beaver-dam", model });
    const exchanges = ["one", "two three", "four five six"].map((answer) => ({ prompt: "count", answer }));
    const verdicts = await moderator.judge(exchanges);
    expect(await moderator.judge(exchanges.slice(1, 2))).toMatchObject([
      { harmful: (verdicts[1] as { harmful: boolean }).harmful },
    ]);
    for (const verdict of verdicts) {
      expect(verdict).toMatchObject({ harmful: expect.any(Boolean), categories: expect.any(Array) });
    }
    const config = JSON.parse(readFileSync(join(model, "config.json"), "utf8")) as { id2label: Record<string, string> };
    expect([...Object.values(config.id2label), "illicit"].map((kind) => moderator.tells?.(kind))).toEqual([
      ...Object.keys(config.id2label).map(() => true),
      false,
    ]);
    await expect(moderator.judge(exchanges, AbortSignal.abort())).rejects.toMatchObject({ code: "STOPPED" });
  });

  test("a model of one class a text is refused", () => {
    const folder = mkdtempSync(join(tmpdir(), "booster-classifier-"));
    cpSync(model, folder, { recursive: true });
    const path = join(folder, "config.json");
    const config: object = JSON.parse(readFileSync(join(model, "config.json"), "utf8"));
    writeFileSync(`${path}.new`, JSON.stringify({ ...config, problem_type: "single_label_classification" }));
    cpSync(`${path}.new`, path, { force: true });
    expect(() => openModerator({ name: "beaver-dam", model: folder })).toThrow("not kinds of harm");
  });
});
