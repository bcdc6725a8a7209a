import { BoosterError } from "../errors.ts";
import { PAIR } from "../formats/gguf-writer.ts";
import { isObject } from "../formats/strict-json.ts";
import { rotaryFrequencies } from "../nn/index.ts";
import type { Model } from "./architecture.ts";
import type { GgufDescription } from "./gguf.ts";
import { ROPE_FREQS } from "./gguf-rope.ts";
import { ropeParameters, rotationOf } from "./rope.ts";

type Config = Readonly<Record<string, unknown>>;

/**
 * How a GGUF file states the rotary positions of a config.json of either style: linear scaling and YaRN by their keys, other frequencies by
 * what the plain ones are divided by.
 *
 * @throws {BoosterError} `GGUF_ROPE_UNSUPPORTED`
 */
export function ropeDescription(
  architecture: string,
  model: Pick<Model, "headDim" | "maxPositions">,
  config: Config,
): GgufDescription {
  const stated = [config.rope_scaling, config.rope_parameters].filter(isObject);
  const { type, ...given } = Object.assign({ rope_theta: config.rope_theta }, ...stated) as Config;
  const rope = ropeParameters().parse({ ...(type === undefined ? {} : { rope_type: type }), ...given });
  const parameters: Config = { ...rope };
  const rotation = rotationOf(rope, model);
  const key = (name: string) => `${architecture}.rope.${name}`;
  const base = PAIR.f32(key("freq_base"), rope.rope_theta);
  const scaled = (...pairs: Uint8Array[]) => ({
    pairs: [base, PAIR.text(key("scaling.type"), rope.rope_type), ...pairs],
    vectors: {},
  });
  const factor = Number(parameters.factor);
  if (rope.rope_type === "linear") return scaled(PAIR.f32(key("scaling.factor"), factor));
  if (rope.rope_type === "yarn") {
    const original = Number(parameters.original_max_position_embeddings ?? model.maxPositions);
    const by = Number.isFinite(factor) && factor > 0 ? factor : model.maxPositions / original;
    if (parameters.truncate === false) throw unsupported("YaRN that is not rounded to whole pairs");
    return scaled(
      PAIR.f32(key("scaling.factor"), by),
      PAIR.u32(key("scaling.original_context_length"), original),
      // llama.cpp multiplies what it works out itself.
      PAIR.f32(key("scaling.attn_factor"), rotation.factor / (0.1 * Math.log(by) + 1)),
      PAIR.f32(key("scaling.yarn_beta_fast"), Number(parameters.beta_fast ?? 32)),
      PAIR.f32(key("scaling.yarn_beta_slow"), Number(parameters.beta_slow ?? 1)),
    );
  }
  const { frequencies, long } = rotation;
  const isOne = long === undefined || long.beyond >= model.maxPositions || `${long.frequencies}` === `${frequencies}`;
  if (!isOne || rotation.factor !== 1)
    throw unsupported(`${rope.rope_type} with an attention factor or with long rows`);
  const plain = rotaryFrequencies(2 * frequencies.length, rope.rope_theta);
  const factors = plain.map((frequency, i) => frequency / (frequencies[i] as number));
  return { pairs: [base], vectors: factors.every((one) => one === 1) ? {} : { [ROPE_FREQS]: factors } };
}

/**
 * The same for families in which llama.cpp divides no frequencies by factors of its file.
 *
 * @throws {BoosterError} `GGUF_ROPE_UNSUPPORTED`
 */
export function ropeWithoutFactors(...given: Parameters<typeof ropeDescription>): GgufDescription {
  const description = ropeDescription(...given);
  if (Object.keys(description.vectors).length > 0) throw unsupported("frequencies number by number");
  return description;
}

const unsupported = (found: string): BoosterError =>
  new BoosterError("GGUF_ROPE_UNSUPPORTED", "llama.cpp has no such positions in this family", { found });
