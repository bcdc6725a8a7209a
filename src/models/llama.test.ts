import { describe, expect, test } from "vitest";
import { qwen2 } from "./llama.ts";

const config = {
  hidden_size: 16,
  intermediate_size: 32,
  num_hidden_layers: 4,
  num_attention_heads: 2,
  vocab_size: 32,
  max_position_embeddings: 4096,
};

describe("a qwen2 model with a sliding window", () => {
  test.each([
    ["smaller than the positions, in all layers", { sliding_window: 1024, max_window_layers: 0 }],
    ["in the last layer alone", { sliding_window: 1024, max_window_layers: 3 }],
    ["of the family's own size, positions beyond it", { max_position_embeddings: 32_768, max_window_layers: 0 }],
  ])("is refused: %s", (_, window) => {
    expect(() => qwen2.create({ ...config, use_sliding_window: true, ...window })).toThrow(
      expect.objectContaining({ code: "MODEL_CONFIG_INVALID", message: expect.stringContaining("sliding_window") }),
    );
  });

  test.each([
    ["switched off", { use_sliding_window: false, sliding_window: 1024, max_window_layers: 0 }],
    ["that sees every position", { use_sliding_window: true, sliding_window: 4096, max_window_layers: 0 }],
    ["in layers that it does not have", { use_sliding_window: true, sliding_window: 1024, max_window_layers: 4 }],
    ["of no size", { use_sliding_window: true, sliding_window: null, max_window_layers: 0 }],
  ])("is taken: %s", (_, window) => {
    expect(qwen2.create({ ...config, ...window }).maxPositions).toBe(4096);
  });
});
