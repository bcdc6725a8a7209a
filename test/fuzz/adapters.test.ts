import { expect, test } from "vitest";
import { adapterOf } from "../../src/formats/peft.ts";
import { parseAdapterConfig } from "../../src/formats/peft-config.ts";
import type { AdaptedModel } from "../../src/formats/peft-modules.ts";
import { decodeStrictJson, isObject } from "../../src/formats/strict-json.ts";
import type { StoredTensor } from "../../src/formats/tensor-file.ts";
import { mergeInto } from "../../src/models/merge.ts";
import { createModel } from "../../src/models/registry.ts";
import { type HostTensor, sizeOf, zeros } from "../../src/tensor/tensor.ts";
import { fuzz } from "./harness.ts";
import { type Draws, mutateBytes } from "./mutate.ts";

const codes = new Set([
  "ADAPTER_CONFIG_INVALID",
  "ADAPTER_DTYPE_UNSUPPORTED",
  "ADAPTER_KEYS_MISMATCH",
  "ADAPTER_SHAPE_MISMATCH",
  "ADAPTER_UNSUPPORTED",
  "JSON_DUPLICATE_KEY",
  "JSON_INVALID",
  "JSON_TOO_DEEP",
  "JSON_TOO_LARGE",
]);

const model = createModel({
  model_type: "llama",
  hidden_size: 4,
  intermediate_size: 6,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  vocab_size: 5,
  attention_bias: true,
  tie_word_embeddings: true,
});

const layers = ["model.layers.0.self_attn", "model.layers.1.self_attn"];
const lora = (r: number) =>
  layers.flatMap((at) => [
    [`${at}.q_proj.lora_A.weight`, [r, 4]],
    [`${at}.q_proj.lora_B.weight`, [4, r]],
  ]);
const common = { peft_type: "LORA", r: 2, lora_alpha: 4, target_modules: ["q_proj"] };

/** A configuration of each kind with its tensors, as a list of names and shapes. */
const SEEDS: readonly (readonly [config: object, tensors: readonly (readonly (string | number[])[])[]])[] = [
  [common, lora(2)],
  [{ ...common, rank_pattern: { "0.self_attn.q_proj": 2, q_proj$: 2 }, alpha_pattern: { ".*": 3 } }, lora(2)],
  [{ ...common, target_modules: ".*\\.[01]\\.self_attn\\.q_proj", use_rslora: true }, lora(2)],
  [{ ...common, target_modules: "all-linear", exclude_modules: ["v_proj", "lm_head"] }, lora(2)],
  [{ ...common, layers_to_transform: [0, 1], layers_pattern: "layers", lora_bias: true }, lora(2)],
  [{ ...common, use_dora: true }, [...lora(2), ...layers.map((at) => [`${at}.q_proj.lora_magnitude_vector`, [4]])]],
  [{ ...common, bias: "lora_only" }, [...lora(2), ...layers.map((at) => [`${at}.q_proj.base_layer.bias`, [4]])]],
  [
    { ...common, target_modules: ["embed_tokens", "lm_head"], modules_to_save: ["norm"] },
    [
      ["model.embed_tokens.lora_embedding_A", [2, 5]],
      ["model.embed_tokens.lora_embedding_B", [4, 2]],
      ["lm_head.lora_A.weight", [2, 4]],
      ["lm_head.lora_B.weight", [5, 2]],
      ["model.norm.weight", [4]],
    ],
  ],
];
const texts = SEEDS.map(([config, tensors]) => Buffer.from(JSON.stringify({ config, tensors })));

const LIES: readonly unknown[] = [
  null,
  true,
  0,
  -1,
  1.5,
  2 ** 53,
  "",
  "q_proj",
  "[",
  "(?>a)",
  "a{2}{3}",
  "\\1",
  "(?P<a>x)(?P<a>y)",
  ".*",
  "a".repeat(30_000),
  [],
  {},
  ["q_proj", 1],
  { "(": 1 },
  { __proto__: 1, constructor: 2 },
  [0, 1],
  "all-linear",
  "lora_only",
  "pissa",
  "model.norm.weight",
  "lm_head.weight",
  "lm_head.lora_B.bias",
  "model.layers.0.self_attn.q_proj.lora_B.bias",
  "model.embed_tokens.base_layer.weight",
  [4, 2],
];
const KEYS = [
  "rank_pattern",
  "alpha_pattern",
  "bias",
  "lora_bias",
  "use_dora",
  "modules_to_save",
  "exclude_modules",
].concat(["layers_to_transform", "layers_pattern", "target_modules", "init_lora_weights", "parent", "brand_new", "r"]);

/** The same with another value somewhere. */
function lying(value: unknown, draws: Draws): unknown {
  if (draws.below(6) === 0) return draws.pick(LIES);
  if (Array.isArray(value) && value.length > 0) {
    const at = draws.below(value.length);
    return draws.below(8) === 0
      ? value.filter((_, i) => i !== at)
      : value.map((item, i) => (i === at ? lying(item, draws) : item));
  }
  if (isObject(value) && Object.keys(value).length > 0) {
    const key = draws.pick(Object.keys(value));
    return { ...value, [key]: lying(value[key], draws) };
  }
  return draws.pick(LIES);
}

/** A third of the inputs are damaged blindly; the others have other values, keys and tensors. */
function make(draws: Draws): Uint8Array {
  const at = draws.below(SEEDS.length);
  // Blind changes can make an expression that takes long: those inputs name modules by lists.
  if (draws.below(3) === 0) return mutateBytes(texts[at < 2 || at > 3 ? at : 0]!, draws, [texts[0]!, texts[7]!]);
  const [config, tensors] = SEEDS[at]!;
  const changed = draws.below(2) === 0 ? { ...config, [draws.pick(KEYS)]: draws.pick(LIES) } : lying(config, draws);
  const others = draws.below(2) === 0 ? tensors : lying(tensors, draws);
  return Buffer.from(JSON.stringify({ config: changed, tensors: others }));
}

/** Tensors as a header would list them: what is no name or shape is left out. */
function entriesOf(listed: unknown): Map<string, StoredTensor> {
  const entries = (Array.isArray(listed) ? listed : []).flatMap((entry): [string, StoredTensor][] => {
    const [name, shape] = Array.isArray(entry) ? entry : [];
    const fits = Array.isArray(shape) && shape.every((size) => Number.isInteger(size) && size >= 0 && size <= 8);
    if (typeof name !== "string" || !fits || shape.length > 4) return [];
    return [[`base_model.model.${name}`, { format: "F32", shape, begin: 0, end: 4 * sizeOf(shape) }]];
  });
  return new Map(entries);
}

function parse(bytes: Uint8Array): void {
  const document = decodeStrictJson(bytes, "fuzz");
  const { config, tensors } = isObject(document) ? document : { config: document, tensors: [] };
  const entries = entriesOf(tensors);
  const load = (name: string): HostTensor => zeros("float32", entries.get(name)?.shape ?? []);
  const read = adapterOf(
    parseAdapterConfig(config, "fuzz"),
    { where: "fuzz", entries, load },
    model satisfies AdaptedModel,
  );
  const weight = (name: string) => zeros("float32", [...(model.weights.get(name) ?? [])]);
  const { model: merged, changed } = mergeInto(model, weight, read.tensors, 1);
  for (const [name, { shape, data }] of changed) {
    if (`${shape}` !== `${merged.weights.get(name)}` || data.length !== sizeOf(shape))
      throw new Error(`${name} ${shape}`);
  }
}

test("mutated adapters end in a known error or fit their model, quickly and in bounded memory", () => {
  const report = fuzz("adapters", make, parse, codes);
  console.log(`${JSON.stringify([...report.outcomes])}, memory +${report.rssGrowthMb.toFixed(0)} MB`);
  expect(report.uncaught).toEqual([]);
  expect(report.slow).toEqual([]);
  expect(report.rssGrowthMb).toBeLessThanOrEqual(64);
});
