import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { sharedPath } from "../../test/shared.ts";
import { type HostTensor, tensor, zeros } from "../tensor/tensor.ts";
import { type LoraConfig, readAdapter, writeAdapter } from "./peft.ts";
import { parseAdapterConfig } from "./peft-config.ts";
import { writeSafetensors } from "./safetensors.ts";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "booster-peft-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

const config: LoraConfig = { r: 2, alpha: 4, targetModules: ["v_proj", "q_proj"], useRslora: false };
const modules = new Map<string, readonly [number, number]>([
  ["model.layers.0.self_attn.q_proj", [4, 3]],
  ["model.layers.0.self_attn.v_proj", [5, 3]],
  ["model.layers.0.self_attn.o_proj", [3, 4]],
]);
const tensors = new Map<string, HostTensor<"float32">>([
  ["model.layers.0.self_attn.q_proj.lora_A.weight", tensor("float32", [2, 3], [1, 2, 3, 4, 5, 6])],
  ["model.layers.0.self_attn.q_proj.lora_B.weight", zeros("float32", [4, 2])],
  ["model.layers.0.self_attn.v_proj.lora_A.weight", zeros("float32", [2, 3])],
  ["model.layers.0.self_attn.v_proj.lora_B.weight", zeros("float32", [5, 2])],
]);
const code = (expected: string) => expect.objectContaining({ code: expected });
const without = (name: string) => new Map([...tensors].filter(([key]) => key !== name));
const withTensor = (name: string, value: HostTensor) => new Map<string, HostTensor>([...tensors, [name, value]]);

/** An adapter folder with the given tensors as they are, prefix added. */
function rawAdapter(content: ReadonlyMap<string, HostTensor>, changes: Record<string, unknown> = {}): string {
  const path = mkdtempSync(join(folder, "raw-"));
  const json = { peft_type: "LORA", r: 2, lora_alpha: 4, target_modules: ["q_proj", "v_proj"], ...changes };
  writeFileSync(join(path, "adapter_config.json"), JSON.stringify(json));
  writeSafetensors(
    join(path, "adapter_model.safetensors"),
    new Map(
      [...content].map(([name, value]) => [name.startsWith("!") ? name.slice(1) : `base_model.model.${name}`, value]),
    ),
  );
  return path;
}

test("round trip, same bytes twice", () => {
  const path = join(folder, "adapter");
  writeAdapter(path, config, tensors, { baseModel: "org/base" });
  const read = readAdapter(path, modules);
  expect(read.tensors).toEqual(tensors);
  expect(read.config).toEqual({
    ...config,
    targetModules: ["q_proj", "v_proj"],
    dropout: 0,
    baseModel: "org/base",
  });
  expect(readdirSync(path).sort()).toEqual(["README.md", "adapter_config.json", "adapter_model.safetensors"]);
  expect(readFileSync(join(path, "README.md"), "utf8")).toContain('base_model: "org/base"');
  const again = join(folder, "again");
  writeAdapter(again, config, new Map([...tensors].reverse()), { baseModel: "org/base" });
  for (const file of readdirSync(path)) expect(readFileSync(join(again, file))).toEqual(readFileSync(join(path, file)));
});

describe("a strict reading", () => {
  const q = "model.layers.0.self_attn.q_proj.lora_A.weight";

  test("missing and unexpected tensors are listed", () => {
    const path = rawAdapter(withTensor("model.layers.0.self_attn.o_proj.lora_A.weight", zeros("float32", [2, 4])));
    expect(() => readAdapter(path, modules)).toThrow(/unexpected: model\.layers\.0\.self_attn\.o_proj\.lora_A/);
    expect(() => readAdapter(rawAdapter(without(q)), modules)).toThrow(
      /missing: model\.layers\.0\.self_attn\.q_proj\.lora_A/,
    );
    expect(() => readAdapter(rawAdapter(without(q)))).toThrow(code("ADAPTER_KEYS_MISMATCH"));
  });

  test("keys without PEFT's prefix, and none at all", () => {
    expect(() => readAdapter(rawAdapter(withTensor("!lm_head.weight", zeros("float32", [1]))))).toThrow(
      /unexpected: lm_head/,
    );
    expect(() => readAdapter(rawAdapter(new Map()))).toThrow(code("ADAPTER_KEYS_MISMATCH"));
  });

  test("wrong shapes and types", () => {
    expect(() => readAdapter(rawAdapter(withTensor(q, zeros("float32", [2, 7]))), modules)).toThrow(
      /expected \[2, 3\]; found \[2, 7\]/,
    );
    expect(() => readAdapter(rawAdapter(withTensor(q, zeros("float32", [3, 3]))))).toThrow(
      code("ADAPTER_SHAPE_MISMATCH"),
    );
    expect(() => readAdapter(rawAdapter(withTensor(q, zeros("int32", [2, 3]))))).toThrow(
      code("ADAPTER_DTYPE_UNSUPPORTED"),
    );
  });

  test("NaN is refused in both directions, naming tensor and index", () => {
    const broken = new Map([...tensors, [q, tensor("float32", [2, 3], [1, 2, Number.NaN, 4, 5, 6])]]) as typeof tensors;
    expect(() => readAdapter(rawAdapter(broken))).toThrow(/NaN at index 2 of \[2, 3\].*q_proj\.lora_A/);
    const path = join(folder, "never");
    expect(() => writeAdapter(path, config, broken, { baseModel: "b" })).toThrow(code("NON_FINITE_WEIGHT"));
    expect(readdirSync(folder)).not.toContain("never");
  });

  test("a folder without files", () => {
    const path = join(folder, "empty");
    mkdirSync(path);
    expect(() => readAdapter(path)).toThrow(code("FILE_NOT_FOUND"));
  });
});

describe("the configuration", () => {
  const good = { peft_type: "LORA", r: 8, lora_alpha: 16, target_modules: ["q_proj"] };
  const parse = (changes: Record<string, unknown>) => parseAdapterConfig({ ...good, ...changes }, "test");

  test.each([
    ["r", 2 ** 31],
    ["r", 0],
    ["r", 1.5],
    ["lora_alpha", -1],
    ["lora_alpha", null],
    ["lora_dropout", 2],
    ["bias", "all"],
    ["peft_type", "IA3"],
    ["target_modules", "all-linear"],
    ["target_modules", ".*q_proj"],
    ["target_modules", []],
    ["use_rslora", "yes"],
    ["fan_in_fan_out", true],
    ["init_lora_weights", "pissa"],
  ])("%s = %j is refused by name", (key, value) => {
    expect(() => parse({ [key]: value })).toThrow(new RegExp(`${key}: `));
    expect(() => parse({ [key]: value })).toThrow(code("ADAPTER_CONFIG_INVALID"));
  });

  test("everything beyond plain LoRA is listed", () => {
    const more = { use_dora: true, modules_to_save: ["lm_head"], rank_pattern: { q: 4 }, brand_new: 1 };
    expect(() => parse(more)).toThrow(/found brand_new, modules_to_save, rank_pattern, use_dora/);
    expect(() => parse(more)).toThrow(code("ADAPTER_UNSUPPORTED"));
  });

  test("keys of newer PEFT versions are accepted when they ask for nothing", () => {
    const newer = {
      peft_version: "0.18.0",
      megatron_core: "megatron.core",
      qalora_group_size: 16,
      use_dora: false,
      lora_bias: false,
      loftq_config: {},
      corda_config: null,
      target_parameters: [],
      init_lora_weights: "gaussian",
      task_type: "CAUSAL_LM",
    };
    expect(parse(newer).r).toBe(8);
  });

  test("rsLoRA survives a round trip", () => {
    const path = join(folder, "rslora");
    writeAdapter(path, { ...config, useRslora: true }, tensors, { baseModel: "b" });
    expect(readAdapter(path).config.useRslora).toBe(true);
  });
});

const fixture = sharedPath("fixtures", "qwen2", "adapter");
test.skipIf(fixture === undefined)("reads an adapter that PEFT wrote", () => {
  const { config, tensors } = readAdapter(fixture!);
  expect(config).toMatchObject({ r: 8, alpha: 4, targetModules: ["k_proj", "q_proj", "v_proj"], useRslora: false });
  expect(tensors.size).toBe(18);
  expect(tensors.get("model.layers.0.self_attn.q_proj.lora_A.weight")?.shape).toEqual([8, 48]);
});
