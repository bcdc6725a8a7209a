import { mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { sharedPath } from "../../test/shared.ts";
import { type HostTensor, tensor, zeros } from "../tensor/tensor.ts";
import { type AdaptedModel, type LoraConfig, readAdapter, writeAdapter } from "./peft.ts";
import { parseAdapterConfig } from "./peft-config.ts";
import { writeSafetensors } from "./safetensors.ts";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "booster-peft-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

const config: LoraConfig = { r: 2, alpha: 4, targetModules: ["v_proj", "q_proj"], useRslora: false };
const linears = new Map<string, readonly [number, number]>([
  ["model.layers.0.self_attn.q_proj", [4, 3]],
  ["model.layers.0.self_attn.v_proj", [5, 3]],
  ["model.layers.0.self_attn.o_proj", [3, 4]],
]);
const model: AdaptedModel = {
  linears,
  weights: new Map<string, readonly number[]>([
    ...[...linears].map(([module, shape]) => [`${module}.weight`, shape] as const),
    ["model.layers.0.self_attn.q_proj.bias", [4]],
    ["model.embed_tokens.weight", [7, 3]],
    ["model.norm.weight", [3]],
  ]),
  embedding: "model.embed_tokens.weight",
  head: "model.embed_tokens.weight",
};
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
  const read = readAdapter(path, model);
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
    expect(() => readAdapter(path, model)).toThrow(/unexpected: model\.layers\.0\.self_attn\.o_proj\.lora_A/);
    expect(() => readAdapter(rawAdapter(without(q)), model)).toThrow(
      /missing: model\.layers\.0\.self_attn\.q_proj\.lora_A/,
    );
    expect(() => readAdapter(rawAdapter(without(q)))).toThrow(code("ADAPTER_KEYS_MISMATCH"));
  });

  test("keys without PEFT's prefix, and none at all", () => {
    expect(() => readAdapter(rawAdapter(withTensor("!lm_head.weight", zeros("float32", [1]))))).toThrow(
      /unexpected: lm_head/,
    );
    const named = withTensor("model.layers.0.self_attn.q_proj.lora_A.default.weight", zeros("float32", [2, 3]));
    expect(() => readAdapter(rawAdapter(named), model)).toThrow(/unexpected: .*lora_A\.default/);
    expect(() => readAdapter(rawAdapter(new Map()))).toThrow(code("ADAPTER_KEYS_MISMATCH"));
  });

  test("wrong shapes and types", () => {
    expect(() => readAdapter(rawAdapter(withTensor(q, zeros("float32", [2, 7]))), model)).toThrow(
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
    ["bias", "some"],
    ["peft_type", "IA3"],
    ["target_modules", []],
    ["target_modules", ""],
    ["target_modules", null],
    ["exclude_modules", 3],
    ["layers_to_transform", [-1]],
    ["rank_pattern", { q_proj: 0 }],
    ["rank_pattern", ["q_proj"]],
    ["alpha_pattern", { q_proj: "16" }],
    ["modules_to_save", "lm_head"],
    ["use_rslora", "yes"],
    ["use_dora", 1],
    ["init_lora_weights", 7],
  ])("%s = %j is refused by name", (key, value) => {
    expect(() => parse({ [key]: value })).toThrow(new RegExp(`${key}(\\.\\w+)?: `));
    expect(() => parse({ [key]: value })).toThrow(code("ADAPTER_CONFIG_INVALID"));
    if (key !== "target_modules") expect(() => parse({ [key]: value })).not.toThrow(/target_modules/);
  });

  test.each(["pissa", "pissa_niter_16", "olora", "loftq", "corda", "lora_ga", "unheard_of"])(
    "factors that began as %s also took a part out of the base model",
    (start) => {
      expect(() => parse({ init_lora_weights: start })).toThrow(code("ADAPTER_UNSUPPORTED"));
      expect(() => parse({ init_lora_weights: start })).toThrow(/path_initial_model_for_weight_conversion/);
    },
  );

  test("what is no LoRA is listed", () => {
    const more = { use_qalora: true, trainable_token_indices: [1, 2], layer_replication: [[0, 1]], brand_new: 1 };
    expect(() => parse(more)).toThrow(/found brand_new, layer_replication, trainable_token_indices, use_qalora/);
    expect(() => parse(more)).toThrow(code("ADAPTER_UNSUPPORTED"));
  });

  test("a text already says which layers are meant", () => {
    expect(() => parse({ target_modules: ".*q_proj", layers_to_transform: [0] })).toThrow(/regular expression already/);
  });

  test("all that PEFT 0.21 writes is known where it asks for nothing", () => {
    // 14 keys that 0.14 did not have, and what a converted PiSSA adapter or Unsloth leaves behind.
    const newer = {
      alora_invocation_tokens: null,
      arrow_config: null,
      auto_mapping: { base_model_class: "LlamaForCausalLM", unsloth_fixed: true },
      bias: null,
      corda_config: null,
      ensure_weight_tying: false,
      eva_config: { rho: 2 },
      fan_in_fan_out: true,
      init_lora_weights: "gaussian",
      kasa_config: null,
      loftq_config: {},
      lora_alpha: 22.627416997969522,
      lora_bias: false,
      lora_ga_config: null,
      megatron_core: "megatron.core",
      monteclora_config: null,
      peft_version: "0.21.2",
      qalora_group_size: 16,
      target_parameters: [],
      task_type: "CAUSAL_LM",
      trainable_token_indices: null,
      use_bdlora: null,
      use_dora: false,
      use_qalora: false,
      velora_config: null,
    };
    expect(parse(newer).r).toBe(8);
  });

  test("rsLoRA survives a round trip", () => {
    const path = join(folder, "rslora");
    writeAdapter(path, { ...config, useRslora: true }, tensors, { baseModel: "b" });
    expect(readAdapter(path).config.useRslora).toBe(true);
  });
});

describe("more than plain LoRA", () => {
  const q = "model.layers.0.self_attn.q_proj";
  const v = "model.layers.0.self_attn.v_proj";
  const factors = (module: string, r: number, out: number) =>
    [
      [`${module}.lora_A.weight`, zeros("float32", [r, 3])],
      [`${module}.lora_B.weight`, tensor("float32", [out, r], new Float32Array(out * r).fill(1))],
    ] as const;

  test("a module's own scale stands in its B, its own rank stays; written again, the patterns say so", () => {
    const own = new Map([...factors(q, 2, 4), ...factors(v, 1, 5)]);
    const path = rawAdapter(own, { rank_pattern: { v_proj: 1 }, alpha_pattern: { "layers.0.self_attn.v_proj": 3 } });
    const read = readAdapter(path, model);
    expect(read.config).toMatchObject({ r: 2, alpha: 4, useRslora: false, ownScales: true });
    expect(read.tensors.get(`${v}.lora_A.weight`)?.shape).toEqual([1, 3]);
    expect([...read.tensors.get(`${v}.lora_B.weight`)!.data]).toEqual([1.5, 1.5, 1.5, 1.5, 1.5]);
    expect([...read.tensors.get(`${q}.lora_B.weight`)!.data]).toEqual(new Array(8).fill(1));
    const again = join(folder, "ranks");
    writeAdapter(again, read.config, read.tensors, { baseModel: "b" });
    const json = JSON.parse(readFileSync(join(again, "adapter_config.json"), "utf8"));
    expect(json).toMatchObject({ r: 2, rank_pattern: { [v]: 1 }, alpha_pattern: { [v]: 2 } });
    expect(readAdapter(again, model)).toEqual({
      config: { ...read.config, baseModel: "b", ownScales: undefined },
      tensors: read.tensors,
    });
  });

  test("an expression may mean kinds that the file has not, and a kind is there everywhere or nowhere", () => {
    expect(readAdapter(rawAdapter(tensors, { target_modules: "all-linear" }), model).config.targetModules).toEqual([
      q,
      v,
    ]);
    const deeper = { ...model, linears: new Map([...linears, [q.replace("0", "1"), [4, 3] as const]]) };
    expect(() => readAdapter(rawAdapter(tensors, { target_modules: ".*_proj" }), deeper)).toThrow(
      /missing: model\.layers\.1\.self_attn\.q_proj/,
    );
  });

  test("one scale for all is no scale of their own", () => {
    const both = new Map([...factors(q, 4, 4), ...factors(v, 4, 5)]);
    const { config } = readAdapter(rawAdapter(both, { rank_pattern: { ".*": 4 } }), model);
    expect(config).toEqual({ ...config, r: 4, alpha: 4, ownScales: undefined });
  });

  test("the tensors of embeddings, magnitudes and biases have their places and shapes", () => {
    const embedded = new Map<string, HostTensor>([
      ["model.embed_tokens.lora_embedding_A", zeros("float32", [2, 7])],
      ["model.embed_tokens.lora_embedding_B", zeros("float32", [3, 2])],
      ["model.embed_tokens.lora_magnitude_vector", zeros("float32", [3])],
      ["model.embed_tokens.base_layer.weight", zeros("float32", [7, 3])],
    ]);
    const changes = { target_modules: ["embed_tokens"], use_dora: true };
    const read = readAdapter(rawAdapter(embedded, changes), model).tensors;
    // The weight that was saved beside the factors is that of the head as well, since they share it.
    expect([...read.keys()].sort()).toEqual([
      "lm_head.weight",
      "model.embed_tokens.lora_embedding_A",
      "model.embed_tokens.lora_embedding_B",
      "model.embed_tokens.lora_magnitude_vector",
      "model.embed_tokens.weight",
    ]);
    const long = new Map([...embedded, ["model.embed_tokens.lora_magnitude_vector", zeros("float32", [7])]]);
    expect(() => readAdapter(rawAdapter(long, changes), model)).toThrow(/expected \[3\]; found \[7\]/);
    expect(() => readAdapter(rawAdapter(embedded, { target_modules: ["embed_tokens"] }), model)).toThrow(
      /unexpected: model\.embed_tokens\.lora_magnitude_vector/,
    );
  });

  test("a head that is saved on purpose is the head's alone", () => {
    const path = rawAdapter(withTensor("lm_head.weight", zeros("float32", [7, 3])), { modules_to_save: ["lm_head"] });
    expect(readAdapter(path, model).tensors.has("model.embed_tokens.weight")).toBe(false);
    expect(() => readAdapter(rawAdapter(tensors, { modules_to_save: ["norm"] }), model)).toThrow(/model\.norm\.weight/);
  });

  test("biases that were promised and lost are missed, with a way on", () => {
    const lost = rawAdapter(tensors, { bias: "lora_only" });
    expect(() => readAdapter(lost, model)).toThrow(/missing: .*q_proj\.bias.*"bias": "none"/);
    const bias = withTensor(`${q}.base_layer.bias`, zeros("float32", [4]));
    expect(readAdapter(rawAdapter(bias, { bias: "lora_only" }), model).tensors.has(`${q}.bias`)).toBe(true);
    const twice = new Map([...bias, [`${q}.bias`, zeros("float32", [4])]]);
    expect(() => readAdapter(rawAdapter(twice, { bias: "all" }), model)).toThrow(code("ADAPTER_KEYS_MISMATCH"));
  });

  test("pickled tensors are not opened", () => {
    const path = rawAdapter(tensors);
    renameSync(join(path, "adapter_model.safetensors"), join(path, "adapter_model.bin"));
    expect(() => readAdapter(path, model)).toThrow(/pickled.*adapter_model\.safetensors/);
  });
});

const fixture = sharedPath("fixtures", "qwen2", "adapter");
test.skipIf(fixture === undefined)("reads an adapter that PEFT wrote", () => {
  const { config, tensors } = readAdapter(fixture!);
  expect(config).toMatchObject({ r: 8, alpha: 4, targetModules: ["k_proj", "q_proj", "v_proj"], useRslora: false });
  expect(tensors.size).toBe(18);
  expect(tensors.get("model.layers.0.self_attn.q_proj.lora_A.weight")?.shape).toEqual([8, 48]);
});
