import { describe, expect, test } from "vitest";
import { type PeftConfig, parseAdapterConfig } from "./peft-config.ts";
import { type AdaptedModel, placesOf, promisedBy } from "./peft-modules.ts";

const kinds = ["self_attn.q_proj", "self_attn.v_proj", "mlp.down_proj"];
const modules = [0, 1, 2, 11].flatMap((layer) => kinds.map((kind) => `model.layers.${layer}.${kind}`));
const model: AdaptedModel = {
  linears: new Map(modules.map((module) => [module, [4, 4]] as const)),
  weights: new Map<string, readonly number[]>([
    ...modules.map((module) => [`${module}.weight`, [4, 4]] as const),
    ...modules.filter((module) => module.endsWith("q_proj")).map((module) => [`${module}.bias`, [4]] as const),
    ["model.embed_tokens.weight", [7, 4]],
    ["model.norm.weight", [4]],
    ["lm_head.weight", [7, 4]],
  ]),
  embedding: "model.embed_tokens.weight",
  head: "lm_head.weight",
};

const configOf = (changes: object): PeftConfig =>
  parseAdapterConfig({ peft_type: "LORA", r: 4, lora_alpha: 8, target_modules: ["q_proj"], ...changes }, "test");
const promised = (changes: object) => promisedBy(configOf(changes), placesOf(model), model.weights.keys(), "test");
const short = (module: string) =>
  module
    .replace("model.layers.", "")
    .replace(/self_attn\.|mlp\./, "")
    .replace("_proj", "");
const targets = (changes: object) =>
  promised(changes)
    .sites.map(({ module }) => short(module))
    .join(" ");

// Right values: PEFT 0.21.2's check_target_module_exists.
describe("modules that carry factors", () => {
  test.each([
    [{}, "0.q 1.q 2.q 11.q"],
    [{ target_modules: ["layers.1.self_attn.q_proj", "proj"] }, "1.q"],
    [{ target_modules: "all-linear" }, "0.q 0.v 0.down 1.q 1.v 1.down 2.q 2.v 2.down 11.q 11.v 11.down"],
    [{ target_modules: "all-linear", exclude_modules: ["mlp.down_proj", "v_proj"] }, "0.q 1.q 2.q 11.q"],
    [{ target_modules: "q_proj" }, ""],
    [{ target_modules: ".*q_proj|lm_head" }, "0.q 1.q 2.q 11.q lm_head"],
    [{ target_modules: ".*\\.1\\..*" }, "1.q 1.v 1.down"],
    [{ target_modules: "(?P<a>.*)\\.[12]\\.(?:self_attn\\.q|mlp\\.down)_proj\\Z" }, "1.q 1.down 2.q 2.down"],
    [{ target_modules: "^(?!.*mlp)model\\.layers\\.\\d{2,}.*" }, "11.q 11.v"],
    [{ exclude_modules: ".*\\.1" }, "0.q 1.q 2.q 11.q"],
    [{ exclude_modules: "" }, "0.q 1.q 2.q 11.q"],
    [{ layers_to_transform: 1 }, "1.q"],
    [{ layers_to_transform: [0, 11], layers_pattern: "layers" }, "0.q 11.q"],
    [{ layers_to_transform: [0, 11], layers_pattern: ["h", "lay.rs"] }, "0.q 11.q"],
    [{ layers_to_transform: [0, 11], layers_pattern: "h" }, ""],
    [{ layers_to_transform: [] }, "0.q 1.q 2.q 11.q"],
    // A whole name says its layer itself.
    [{ target_modules: ["model.layers.2.mlp.down_proj", "q_proj"], layers_to_transform: [1] }, "1.q 2.down"],
    [{ target_modules: ["embed_tokens", "lm_head"] }, "model.embed_tokens lm_head"],
    // What is saved whole carries none, nor what is inside of it.
    [{ target_modules: ["q_proj", "down_proj"], modules_to_save: ["mlp"] }, "0.q 1.q 2.q 11.q"],
  ])("%j", (changes, expected) => {
    expect(targets(changes)).toBe(expected);
  });

  test("rank and alpha are those of the first key that matches a name or its end", () => {
    const { sites } = promised({
      target_modules: ["q_proj", "v_proj"],
      rank_pattern: { "layers\\.1\\..*": 2, "1.self_attn.v_proj": 16, "layers.11": 9, "2.self_attn.[qv]_proj": 1 },
      alpha_pattern: { v_proj: 3, "layers.1.self_attn.v_proj": 100 },
      use_rslora: true,
    });
    const found = Object.fromEntries(sites.map(({ module, r, scale }) => [short(module), [r, scale]]));
    expect(found).toEqual({
      "0.q": [4, 4],
      "0.v": [4, 1.5],
      "1.q": [2, 8 / Math.SQRT2],
      "1.v": [2, 3 / Math.SQRT2],
      "2.q": [1, 8],
      "2.v": [1, 3],
      "11.q": [4, 4],
      "11.v": [4, 1.5],
    });
  });

  test.each([
    [{ bias: "none" }, ""],
    [{ bias: "all" }, "0.q.bias 1.q.bias 2.q.bias 11.q.bias"],
    [{ bias: "lora_only", target_modules: ["1.self_attn.q_proj", "v_proj"] }, "1.q.bias"],
    [{ modules_to_save: ["embed_tokens", "head"] }, "model.embed_tokens.weight lm_head.weight"],
    [{ modules_to_save: ["1.mlp"] }, "1.down.weight 11.down.weight"],
  ])("whole weights of %j", (changes, expected) => {
    expect([...promised(changes).whole].map(short).join(" ")).toBe(expected);
  });

  test("expressions that cannot be read, or never end, are refused with their key", () => {
    expect(() => promised({ target_modules: "(?>a)" })).toThrow(/test: target_modules/);
    expect(() => promised({ exclude_modules: "[" })).toThrow(/test: exclude_modules/);
    expect(() => promised({ rank_pattern: { "a)": 1 } })).toThrow(/test: rank_pattern/);
    expect(() => promised({ target_modules: "(([a-z._0-9]+)+)+!" })).toThrow(
      expect.objectContaining({ code: "DEADLINE_EXCEEDED" }),
    );
  });
});
