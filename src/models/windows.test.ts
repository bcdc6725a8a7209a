import { describe, expect, test } from "vitest";
import { createModel } from "./registry.ts";

const SIZES = {
  hidden_size: 16,
  intermediate_size: 32,
  num_hidden_layers: 4,
  num_attention_heads: 2,
  num_key_value_heads: 2,
  vocab_size: 32,
  max_position_embeddings: 4096,
};
const windows = (config: object): (number | undefined)[] => {
  const model = createModel({ ...SIZES, ...config });
  return Array.from({ length: model.layers }, (_, layer) => model.attention(layer).window);
};
const all = <T>(of: T): T[] => new Array<T>(4).fill(of);

describe("windows of layers", () => {
  const qwen = { model_type: "qwen2", use_sliding_window: true, sliding_window: 1024, max_window_layers: 0 };
  const [full, sliding] = ["full_attention", "sliding_attention"];
  test.each([
    ["in all layers", qwen, all(1024)],
    ["from a layer on", { ...qwen, max_window_layers: 3 }, [undefined, undefined, undefined, 1024]],
    ["in layers that it does not have", { ...qwen, max_window_layers: 4 }, all(undefined)],
    [
      "listed, which counts more",
      { ...qwen, layer_types: [sliding, full, sliding, full] },
      [1024, undefined, 1024, undefined],
    ],
    ["switched off", { ...qwen, use_sliding_window: false }, all(undefined)],
    ["that shows every position", { ...qwen, sliding_window: 4096 }, all(undefined)],
    ["of no size", { ...qwen, sliding_window: null }, all(undefined)],
    ["of the family's size", { ...qwen, sliding_window: undefined, max_position_embeddings: 9000 }, all(4096)],
    ["Mistral's own", { model_type: "mistral", max_position_embeddings: 9000 }, all(4096)],
    ["Mistral's, none", { model_type: "mistral", sliding_window: null }, all(undefined)],
    ["Phi-3's", { model_type: "phi3", sliding_window: 2047 }, all(2047)],
    [
      "SmolLM3's, where nothing turns",
      { model_type: "smollm3", use_sliding_window: true, sliding_window: 8, no_rope_layer_interval: 2 },
      [undefined, 8, undefined, 8],
    ],
  ])("%s", (_, config, expected) => {
    expect(windows(config)).toEqual(expected);
  });

  test.each([
    ["listed, and switched off", { ...qwen, use_sliding_window: false, layer_types: all(sliding) }],
    ["listed for too few layers", { ...qwen, layer_types: [full] }],
    ["of a kind that is not known", { ...qwen, layer_types: all("chunked_attention") }],
    ["that shows the token alone", { ...qwen, sliding_window: 1 }],
  ])("are refused: %s", (_, config) => {
    expect(() => windows(config)).toThrow(expect.objectContaining({ code: "MODEL_CONFIG_INVALID" }));
  });
});
