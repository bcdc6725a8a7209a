/** Which layers see a window, as config.json says it. */
import { z } from "zod";
import { BoosterError } from "../errors.ts";

/** Two tokens at least: a token that sees itself alone has nothing to attend to. */
export const windowSize = z.int().min(2).nullable();

/** Kinds of layers by their place, as newer files list them. */
export const layerTypes = z.array(z.enum(["full_attention", "sliding_attention"])).nullish();

/** How Qwen's files say which layers have a window. */
export const QWEN_WINDOW_KEYS = {
  use_sliding_window: z.boolean().default(false),
  sliding_window: windowSize.default(4096),
  max_window_layers: z.int().min(0).default(28),
  layer_types: layerTypes,
};

const qwenKeys = z.object(QWEN_WINDOW_KEYS);

interface Sizes {
  readonly layers: number;
  readonly maxPositions: number;
}

/**
 * The window of each layer; undefined where it hides nothing.
 *
 * @param types as config.json lists them
 * @param usual which layers have a window where there is no list
 * @throws {BoosterError} `MODEL_CONFIG_INVALID` when the list is not one of the layers, or layers have a window of no size
 */
export function windowsOf(
  types: z.output<typeof layerTypes>,
  usual: readonly boolean[],
  window: number | null,
  { layers, maxPositions }: Sizes,
): (layer: number) => number | undefined {
  const sliding = types?.map((type) => type === "sliding_attention") ?? usual;
  if (sliding.length !== layers) throw misstated(`${layers} layer_types`, `${sliding.length}`);
  if (window === null && sliding.includes(true)) {
    throw misstated("a sliding_window where layers have one", "sliding_attention in layer_types, and no window in use");
  }
  return (layer) => (sliding[layer] === true && window !== null && window < maxPositions ? window : undefined);
}

/** A window in all layers, or in none. */
export const allSliding = ({ layers }: Sizes, window: number | null): boolean[] =>
  new Array<boolean>(layers).fill(window !== null);

/** Windows from layer `max_window_layers` on, where they are in use at all. */
export function qwenWindows(config: z.output<typeof qwenKeys>, sizes: Sizes): (layer: number) => number | undefined {
  const window = config.use_sliding_window ? config.sliding_window : null;
  const usual = Array.from({ length: sizes.layers }, (_, i) => window !== null && i >= config.max_window_layers);
  return windowsOf(config.layer_types, usual, window, sizes);
}

const misstated = (expected: string, found: string): BoosterError =>
  new BoosterError("MODEL_CONFIG_INVALID", "the attention windows do not fit the layers", {
    expected,
    found,
    where: "config.json",
  });
