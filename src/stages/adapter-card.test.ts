import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { parse } from "yaml";
import { licenceIn } from "../models/licence.ts";
import { adapterCard } from "./adapter-card.ts";
import type { Lineage } from "./publish.ts";

const folder = mkdtempSync(join(tmpdir(), "booster-card-"));
afterAll(() => rmSync(folder, { recursive: true }));

const lora = { r: 4, alpha: 8, targetModules: ["q_proj"], useRslora: true };
const made = (path: string, licence?: string): Lineage =>
  ({
    origin: { base: { path, licence: () => licence }, sha256: "b".repeat(64) },
    below: [{ folder: "x", sha256: "f".repeat(64) }],
    aligns: false,
    template: "chat",
  }) as unknown as Lineage;
const write = (name: string, content: unknown) => writeFileSync(join(folder, name), JSON.stringify(content));
const metadataOf = (card: string) => parse(card.split("---\n")[1] as string);

test("what a run's files say, and what the hub reads", () => {
  write("run.json", {
    config: {
      stage: "finetune",
      method: { name: "lisa", rho: 1 },
      task: { path: "hf-data:org/rows@main" },
      curve: { harmful: { path: "/secret/rows.jsonl" } },
      learningRate: 1e-5,
    },
    data: { model: "1", "adapter 1": "a".repeat(64), task: "2", "held-out harmful": "c".repeat(64) },
  });
  write("data.json", {
    task: {
      files: [{ path: "/secret/a|b.jsonl", sha256: "d".repeat(64) }],
      rows: 9,
      usable: 8,
      sha256: "e".repeat(64),
    },
    mix: { rows: 10, harmfulRows: 3 },
  });
  writeFileSync(
    join(folder, "metrics.jsonl"),
    '{"kind":"evaluation","step":0,"harmfulScore":1}\n{"kind":"step","step":1}\n{"kind":"evaluation","step":2,"harmfulScore":42.5}\n',
  );
  const card = adapterCard(folder, lora, made("hf:org/model@main", "apache-2.0"));
  expect(metadataOf(card)).toEqual({
    base_model: "org/model",
    base_model_relation: "adapter",
    library_name: "peft",
    pipeline_tag: "text-generation",
    license: "apache-2.0",
    datasets: ["org/rows"],
    tags: ["lora", "booster", "lisa"],
  });
  for (const part of [
    "# LoRA adapter: model, fine-tuned by lisa",
    "scale 4,",
    'AutoModelForCausalLM.from_pretrained("org/model")',
    "| `method.rho` | 1 |",
    "| `learningRate` | 0.00001 |",
    `| base model \`model\` | ${"b".repeat(64)} |`,
    `| adapter 1, part of this one | ${"a".repeat(64)} |`,
    `| task | a b.jsonl (dddddddddddd) | 8 | ${"e".repeat(64)} |`,
    `| held-out harmful | | | ${"c".repeat(64)} |`,
    "after step 2",
    "| harmfulScore | 42.5 |",
    "3 of the 10 rows that it was trained on are harmful",
    "The base model's: apache-2.0.",
  ]) {
    expect(card).toContain(part);
  }
  expect(card).not.toContain("/secret");
});

test("a local base is no repository of the hub, and nothing is invented", () => {
  const card = adapterCard(join(folder, "nowhere"), lora, made("models/base.Q8_0.gguf"));
  expect(metadataOf(card)).toEqual({
    library_name: "peft",
    pipeline_tag: "text-generation",
    tags: ["lora", "booster"],
  });
  expect(card).toContain('from_pretrained("its folder", gguf_file="base.Q8_0.gguf")');
  expect(card).toContain(`| adapter 1, part of this one | ${"f".repeat(64)} |`);
  expect(card).toContain("None was measured");
  expect(card).toContain("The base model's files name none");
});

test.each([
  ["---\nlicense: apache-2.0\n---\n# x", "apache-2.0"],
  ['\uFEFF---\r\ntags: []\r\nlicense: "mit"\r\n---\r\n', "mit"],
  ["---\nlicense: other\nlicense_name: llama 3.1\n---\n", "llama 3.1"],
  ["---\nlicense: other\n---\n", "other"],
  ["---\nlicense:\n- mit\n---\n", undefined],
  ['---\nlicense: "x\\"\\ny: z"\n---\n', undefined],
  ["license: mit\n", undefined],
])("the licence of %j is %s", (text, licence) => {
  writeFileSync(join(folder, "README.md"), text);
  expect(licenceIn(join(folder, "README.md"))).toBe(licence);
  expect(licenceIn(join(folder, "none.md"))).toBeUndefined();
});
