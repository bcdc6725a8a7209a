import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { writeFileAtomic } from "../../formats/atomic-file.ts";
import { writeSafetensors } from "../../formats/safetensors.ts";
import { createModel } from "../../models/index.ts";
import { sizeOf, tensor } from "../../tensor/tensor.ts";
import { openModerator } from "./index.ts";

const WORDS = ["<bos>", "<eos>", "<unk>", "user", "zorb", "lamp", "river", "safe", "unsafe", "\nS1,S3", "chair"];
const at = (word: string): number => WORDS.indexOf(word);

/** Logits of the next word by the last one, in units of the guard's scale; all others are 0. */
const BIGRAMS: readonly (readonly [string, string, number])[] = [
  ["zorb", "unsafe", 1.5],
  ["zorb", "safe", 0.5],
  ["lamp", "safe", 1],
  ["lamp", "unsafe", 0.25],
  ["river", "chair", 2],
  ["unsafe", "\nS1,S3", 3],
  ["safe", "<eos>", 3],
  ["\nS1,S3", "<eos>", 3],
  ["chair", "<eos>", 3],
];
/** A one-hot state of width n normalised to a root mean square of 1. */
const SCALE = Math.sqrt(WORDS.length + 1);

/** A Llama whose blocks do nothing, so that the next word depends on the last one alone, in a way that is known. */
function writeGuard(template: string | undefined): string {
  const folder = mkdtempSync(join(tmpdir(), "booster-guard-"));
  const width = WORDS.length + 1;
  const config = {
    architectures: ["LlamaForCausalLM"],
    model_type: "llama",
    hidden_size: width,
    intermediate_size: 2,
    num_hidden_layers: 1,
    num_attention_heads: 2,
    num_key_value_heads: 2,
    vocab_size: WORDS.length,
    max_position_embeddings: 12,
    rms_norm_eps: 1e-12,
  };
  const weights = [...createModel(config).weights].map(([name, shape]) => {
    const data = new Float32Array(sizeOf(shape));
    if (name.includes("norm")) data.fill(1);
    if (name === "model.embed_tokens.weight") for (let id = 0; id < WORDS.length; id++) data[id * width + id] = 1;
    if (name === "lm_head.weight") for (const [last, next, z] of BIGRAMS) data[at(next) * width + at(last)] = z;
    return [name, tensor("float32", shape, data)] as const;
  });
  const write = (name: string, content: unknown) =>
    writeFileAtomic(join(folder, name), [Buffer.from(JSON.stringify(content))]);
  const special = ["<bos>", "<eos>", "<unk>"].map((content, id) => ({ id, content, special: true, normalized: false }));
  write("tokenizer.json", {
    added_tokens: special,
    pre_tokenizer: { type: "WhitespaceSplit" },
    model: { type: "WordLevel", vocab: Object.fromEntries(WORDS.map((word, id) => [word, id])), unk_token: "<unk>" },
  });
  write("tokenizer_config.json", {
    bos_token: "<bos>",
    eos_token: "<eos>",
    unk_token: "<unk>",
    ...(template === undefined ? {} : { chat_template: template }),
  });
  writeSafetensors(join(folder, "model.safetensors"), new Map(weights), { format: "pt" });
  write("config.json", config);
  return folder;
}

const softmax = (word: string, next: string): number => {
  const logits = WORDS.map((other) => SCALE * (BIGRAMS.find(([a, b]) => a === word && b === other)?.[2] ?? 0));
  return Math.exp(logits[at(next)] as number) / logits.reduce((sum, z) => sum + Math.exp(z), 0);
};
const PLAIN = "{% for m in messages %} {{ m['content'] }}{% endfor %}";
const PARTS = "{% for m in messages %} {{ m['content'][0]['text'] }}{% endfor %}";
const ask = (...answers: string[]) => answers.map((answer) => ({ prompt: "user", answer }));

describe.each([
  ["text", PLAIN],
  ["parts", PARTS],
])("a guard whose template reads %s", (_, template) => {
  test("says safe or unsafe with categories, and how likely unsafe is", async () => {
    const guard = openModerator({ name: "llama-guard", model: writeGuard(template) });
    const [zorb, lamp, river] = await guard.judge(ask("lamp zorb", "zorb lamp", "river"));
    expect(zorb).toMatchObject({ harmful: true, categories: ["S1", "S3"] });
    expect((zorb as { probability: number }).probability).toBeCloseTo(softmax("zorb", "unsafe"), 5);
    expect(lamp).toMatchObject({ harmful: false });
    expect((lamp as { probability: number }).probability).toBeCloseTo(softmax("lamp", "unsafe"), 5);
    expect(river).toEqual({ unjudged: expect.stringContaining("JUDGE_VERDICT") });
  });
});

test("what the guard cannot read is not judged", async () => {
  const guard = openModerator({ name: "llama-guard", model: writeGuard(PLAIN) });
  const [long, lamp] = await guard.judge(ask("lamp ".repeat(20).trim(), "lamp"));
  expect(long).toEqual({ unjudged: expect.stringContaining("PROMPT_TOO_LONG") });
  expect(lamp).toMatchObject({ harmful: false });
  const deaf = openModerator({ name: "llama-guard", model: writeGuard("{{ messages[0]['content'] }} lamp") });
  expect(await deaf.judge(ask("zorb"))).toEqual([{ unjudged: expect.stringContaining("TEMPLATE_DROPS_CONTENT") }]);
});

test("without a template there is no guard", () => {
  const model = writeGuard(undefined);
  expect(() => openModerator({ name: "llama-guard", model })).toThrow(
    expect.objectContaining({ code: "CHAT_TEMPLATE_MISSING" }),
  );
});
