import { z } from "zod";
import { BoosterError } from "../errors.ts";
import type { Architecture } from "./architecture.ts";
import { parseConfig } from "./config.ts";
import { requireGranted } from "./gguf.ts";
import { biasesOf, createDecoder, DECODER_KEYS, sizesOf } from "./llama-decoder.ts";
import { ggufBiases, INTERLEAVED, llamaLayout, llamaWrite } from "./llama-gguf.ts";
import { NORMS_BEFORE } from "./llama-modules.ts";
import { ropeParameters, rotationOf } from "./rope.ts";
import { layerTypes, windowSize, windowsOf } from "./windows.ts";

const KEYS = {
  name: "smollm3",
  used: z.object({
    ...DECODER_KEYS,
    num_key_value_heads: DECODER_KEYS.num_key_value_heads.default(4),
    max_position_embeddings: DECODER_KEYS.max_position_embeddings.default(32_768),
    rope_parameters: ropeParameters(2_000_000),
    tie_word_embeddings: z.boolean().default(true),
    attention_bias: z.boolean().default(false),
    mlp_bias: z.boolean().default(false),
    no_rope_layers: z.array(z.union([z.literal(0), z.literal(1)])).nullish(),
    no_rope_layer_interval: z.int().positive().default(4),
    use_sliding_window: z.boolean().default(false),
    sliding_window: windowSize.default(null),
    layer_types: layerTypes,
  }),
  inert: ["max_window_layers"],
};

/** 1 where a layer turns, whatever the key's name says. */
const turnsOf = (
  config: Pick<z.output<typeof KEYS.used>, "no_rope_layers" | "no_rope_layer_interval">,
  layers: number,
): number[] =>
  config.no_rope_layers?.slice(0, layers) ??
  Array.from({ length: layers }, (_, i) => Number((i + 1) % config.no_rope_layer_interval !== 0));

/** SmolLM3: Llama in which some layers do not turn queries and keys. Source: Hugging Face's `modeling_smollm3.py`. */
export const smollm3: Architecture = {
  name: KEYS.name,
  gguf: llamaLayout("smollm3", "SmolLM3ForCausalLM", {
    interleaved: INTERLEAVED,
    config: ggufBiases,
    write: (model, raw) => {
      const { attention_bias, mlp_bias, ...config } = parseConfig(KEYS, raw);
      requireGranted(KEYS.name, {
        "every fourth layer that does not turn": turnsOf(config, model.layers).every(
          (turned, layer) => turned === Number((layer + 1) % 4 !== 0),
        ),
        "no biases": !attention_bias && !mlp_bias,
      });
      return llamaWrite(KEYS.name)(model, config);
    },
  }),
  create(raw) {
    const config = parseConfig(KEYS, raw);
    const sizes = sizesOf(config);
    const rotation = rotationOf(config.rope_parameters, sizes);
    const turns = turnsOf(config, sizes.layers);
    if (turns.length < sizes.layers) {
      throw new BoosterError(
        "MODEL_CONFIG_INVALID",
        "it is not said of every layer whether it turns queries and keys",
        {
          expected: `${sizes.layers} no_rope_layers`,
          found: `${turns.length}`,
          where: "config.json",
        },
      );
    }
    const window = config.use_sliding_window ? config.sliding_window : null;
    const sliding = turns.map((turned) => window !== null && turned === 0);
    return createDecoder({
      ...sizes,
      architecture: KEYS.name,
      norms: NORMS_BEFORE,
      biased: biasesOf(config),
      rotation: (layer) => (turns[layer] === 1 ? rotation : undefined),
      window: windowsOf(config.layer_types, sliding, window, sizes),
    });
  },
};
