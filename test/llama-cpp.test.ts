import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { FixtureModel } from "../scripts/fixtures/model.ts";
import { readAdapter } from "../src/formats/peft.ts";
import { readSafetensors } from "../src/formats/safetensors-reader.ts";
import { writeSafetensors } from "../src/formats/safetensors-writer.ts";
import { loraScale } from "../src/models/index.ts";
import { exportModel } from "../src/stages/export/export.ts";
import { type HostTensor, zeros } from "../src/tensor/tensor.ts";
import { sharedPath } from "./shared.ts";
import { tinyTokenizerFiles } from "./tiny-tokenizer.ts";

const PEER = resolve("bench/peers/llama");
const installed = existsSync(join(PEER, "node_modules/node-llama-cpp"));
if (!installed) console.log("skipped: llama.cpp is not installed, see bench/peers/llama/setup.sh");

const MINUTES = 600_000;
const NEW_TOKENS = 12;

let root: string;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "booster-llama-"));
});
afterAll(() => rmSync(root, { recursive: true }));

function continued(model: string, prompts: readonly (readonly number[])[], lora?: string): number[][] {
  const request = join(root, "request.json");
  writeFileSync(request, JSON.stringify({ prompts, newTokens: NEW_TOKENS, lora }));
  const printed = execFileSync(process.execPath, ["continue.js", model, request], { cwd: PEER, encoding: "utf8" });
  return (JSON.parse(printed.trim().split("\n").at(-1) ?? "") as { continued: number[][] }).continued;
}

/** Every token that llama.cpp chose is ours too, or ours is ahead of it by less than the margin. */
async function expectSame(ours: FixtureModel, prompts: readonly number[][], theirs: number[][], margin = 1e-2) {
  for (const [i, fresh] of theirs.entries()) {
    const prompt = prompts[i] as number[];
    expect(fresh.length).toBeGreaterThan(0);
    const logits = await ours.logits([...prompt, ...fresh], { adapter: true });
    for (const [place, token] of fresh.entries()) {
      const at = logits[prompt.length - 1 + place] as Float32Array;
      expect(Math.max(...at) - (at[token] as number), `token ${place} of prompt ${i}`).toBeLessThanOrEqual(margin);
    }
  }
}

const exported = (options: Partial<ExportOptionsInput> & { model: string }, name: string) =>
  exportModel({ format: "gguf", out: join(root, name), ...options } as ExportOptionsInput).then(({ out }) => out);
type ExportOptionsInput = Parameters<typeof exportModel>[0];

const bare = (path: string) => FixtureModel.open(path, () => ({ tensors: new Map(), scale: 1 }));

const stories = sharedPath("models", "tinystories-656k");
describe.skipIf(!installed || stories === undefined)("a Hugging Face folder with SentencePiece's BPE", () => {
  const prompts = [
    [1, 80, 147, 201, 282, 81],
    [1, 108, 183],
    [1, 300, 500, 700, 900],
  ];

  test.each([
    ["float32", 1e-2],
    ["float16", 1e-2],
    ["bfloat16", 1e-2],
    // llama.cpp rounds what goes into a product with this type to eight bits.
    ["q8_0", 0.5],
  ] as const)("%s", { timeout: MINUTES }, async (dtype, margin) => {
    const out = await exported({ model: stories as string, dtype }, `stories-${dtype}.gguf`);
    await expectSame(await bare(out), prompts, continued(out, prompts), margin);
  });
});

/** What llama.cpp takes for granted where the reference model has it otherwise, and the lengths of rows that it computes alike. */
const FAMILIES: Readonly<
  Record<string, { readonly config?: object; readonly shortest?: number; readonly longest?: number }>
> = {
  llama3: {},
  "llama-yarn": {},
  qwen3: {},
  olmo2: {},
  smollm3: {},
  gemma: {},
  // Room for the tokenizer.
  gemma2: { config: { query_pre_attn_scalar: 16, vocab_size: 300 } },
  gemma3: { config: { query_pre_attn_scalar: 16 } },
  // Its window is not applied there.
  phi3: { config: { sliding_window: null } },
  // What turns short rows and long ones is chosen by the room for a row there, by its length here: rows that are long in both ways.
  "phi3-longrope": { shortest: 20 },
  gpt2: { longest: 40 },
  gpt_neox: {},
};

/** An embedding with rows for all tokens of the configuration. */
function enlarged(name: string, weight: HostTensor, { vocab_size }: { readonly vocab_size: number }): HostTensor {
  const [rows = 0, width = 0] = weight.shape;
  if (name !== "model.embed_tokens.weight" || rows >= vocab_size) return weight;
  const larger = zeros("float32", [vocab_size, width]);
  larger.data.set(weight.data as Float32Array);
  return larger;
}

describe.skipIf(!installed).each(Object.entries(FAMILIES))(
  "%s with an adapter",
  (name, { config = {}, shortest = 8, longest = 52 }) => {
    const fixture = sharedPath("fixtures", name);
    const prompt = (length: number) => Array.from({ length }, (_, i) => (7 * i + length) % 96);
    const prompts = [prompt(shortest), prompt(longest - NEW_TOKENS)];

    test.skipIf(fixture === undefined)("merged, and alone on its base", { timeout: MINUTES }, async () => {
      // llama.cpp expects tokens of its own of a model whose name has phi3 in it.
      const model = join(root, name.replace("phi3", "three"));
      const from = join(fixture as string, "model");
      mkdirSync(model);
      const told = { ...JSON.parse(readFileSync(join(from, "config.json"), "utf8")), ...config };
      writeFileSync(join(model, "config.json"), JSON.stringify(told));
      const weights = readSafetensors(join(from, "model.safetensors"));
      writeSafetensors(
        join(model, "model.safetensors"),
        new Map([...weights].map(([key, weight]) => [key, enlarged(key, weight, told)])),
      );
      const tokenizer = tinyTokenizerFiles();
      writeFileSync(join(model, "tokenizer.json"), JSON.stringify(tokenizer.json));
      writeFileSync(join(model, "tokenizer_config.json"), JSON.stringify(tokenizer.config));
      const folder = join(fixture as string, "adapter");
      const ours = await FixtureModel.open(model, (of) => {
        const adapter = readAdapter(folder, of);
        return { tensors: adapter.tensors, scale: loraScale(adapter.config) };
      });
      const adapters = [folder];
      const merged = await exported({ model, adapters, dtype: "float32" }, `${name}-merged.gguf`);
      await expectSame(ours, prompts, continued(merged, prompts));
      const base = await exported({ model, dtype: "float32" }, `${name}.gguf`);
      const lora = await exported({ model, adapters, format: "gguf-lora" }, `${name}-lora.gguf`);
      await expectSame(ours, prompts, continued(base, prompts, lora));
    });
  },
);

const smollm2 = sharedPath("models", "smollm2-135m-instruct", "SmolLM2-135M-Instruct.Q4_1.gguf");
test.skipIf(!installed || smollm2 === undefined)(
  "a GGUF base, with its own tokenizer",
  { timeout: MINUTES },
  async () => {
    const out = join(root, "ollama");
    mkdirSync(out);
    await exported({ model: smollm2 as string, format: "ollama", out, dtype: "float32" }, "ollama");
    const prompts = [[1, 4093, 198, 1780, 314, 260, 3575, 282, 4649, 47, 2, 198, 1, 520, 9531, 198]];
    await expectSame(await bare(smollm2 as string), prompts, continued(join(out, "model.gguf"), prompts));
  },
);
