/** Rotary positions of a GGUF file in the words of config.json. */
import { BoosterError } from "../errors.ts";
import type { GgufFile } from "../formats/gguf.ts";
import { type GgufKeys, shortest } from "./gguf-keys.ts";

/** Numbers that the frequencies of Llama 3.1 and its successors are divided by, which llama.cpp's converter has worked out. */
export const ROPE_FREQS = "rope_freqs.weight";

/** Part of the full wavelength, and of the shortest one, in which Llama 3.1 and its successors blend. */
const [LOW, HIGH] = [1, 4];
/** Of the float32 factors. */
const ROUNDING = 1e-6;

interface RopeScaling {
  readonly rope_type: string;
  readonly [parameter: string]: unknown;
}

/**
 * `rope_theta` and `rope_scaling` of a model whose heads turn `width` numbers. What is absent is as llama.cpp has it: scaling is linear, by 1.
 *
 * @throws {BoosterError} `GGUF_ROPE_UNSUPPORTED`, `GGUF_METADATA_INVALID`
 */
export function ropeOf(
  file: GgufFile,
  keys: GgufKeys,
  width: number,
): { readonly rope_theta: number; readonly rope_scaling: RopeScaling | null } {
  const theta = keys.number("rope.freq_base", 10_000);
  const context = keys.number("context_length");
  const scaling = scalingOf(keys, context, file.where);
  if (!file.entries.has(ROPE_FREQS)) return { rope_theta: theta, rope_scaling: scaling };
  if (scaling !== null) throw unsupported(`${ROPE_FREQS} beside scaling ${scaling.rope_type}`, file.where);
  return { rope_theta: theta, rope_scaling: scalingByFactors(file, theta, context, width) };
}

function scalingOf(keys: GgufKeys, context: number, where: string): RopeScaling | null {
  const type = keys.text("rope.scaling.type", "linear");
  const old = keys.number("rope.scale_linear", 1);
  const factor = keys.number("rope.scaling.factor", old) || 1;
  const original = keys.number("rope.scaling.original_context_length", context);
  const attention = keys.number("rope.scaling.attn_factor", 1);
  const fast = keys.number("rope.scaling.yarn_beta_fast", 32);
  const slow = keys.number("rope.scaling.yarn_beta_slow", 1);
  for (const key of ["ext_factor", "attn_factor"]) keys.fixed(`rope.scaling.yarn_${key}`, 1);
  // Without a factor there is nothing to scale, whatever the type.
  if (attention === 1 && (factor === 1 || type === "none")) return null;
  if (type === "linear" && attention === 1) return { rope_type: "linear", factor };
  if (type !== "yarn") throw unsupported(`scaling ${type.slice(0, 40)}, attention factor ${attention}`, where);
  // llama.cpp multiplies what it works out itself, Hugging Face's library takes a stated one in its place.
  const usual = 0.1 * Math.log(factor) + 1;
  return {
    rope_type: "yarn",
    factor,
    original_max_position_embeddings: original,
    ...(attention === 1 ? {} : { attention_factor: attention * usual }),
    beta_fast: fast,
    beta_slow: slow,
  };
}

/** As Llama 3.1's scaling where the factors are its, else number by number. */
function scalingByFactors(file: GgufFile, theta: number, context: number, width: number): RopeScaling | null {
  const factors = [...file.load(ROPE_FREQS).data];
  if (factors.length !== width / 2 || !factors.every((factor) => Number.isFinite(factor) && factor > 0)) {
    throw new BoosterError("GGUF_SHAPE_INVALID", "the rotary factors do not fit the heads", {
      expected: `${ROPE_FREQS}: ${width / 2} positive numbers`,
      found: `${factors.length} numbers`,
      where: file.where,
    });
  }
  if (factors.every((factor) => factor === 1)) return null;
  const factor = shortest(Math.max(...factors));
  for (let original = 2; original <= context; original *= 2) {
    const same = factors.every((found, i) => {
      const turns = (original * theta ** ((-2 * i) / width)) / (2 * Math.PI);
      const kept = Math.min(1, Math.max(0, (turns - LOW) / (HIGH - LOW)));
      return Math.abs(found * ((1 - kept) / factor + kept) - 1) < ROUNDING;
    });
    if (!same) continue;
    const blend = { low_freq_factor: LOW, high_freq_factor: HIGH };
    return { rope_type: "llama3", factor, ...blend, original_max_position_embeddings: original };
  }
  const own = { short_factor: factors, long_factor: factors, attention_factor: 1 };
  return { rope_type: "longrope", ...own, factor: 1, original_max_position_embeddings: context };
}

const unsupported = (found: string, where: string): BoosterError =>
  new BoosterError("GGUF_ROPE_UNSUPPORTED", "the position encoding cannot be told from the file alone", {
    expected: "plain rotary positions, or scaled linearly, by YaRN, or by the factors of rope_freqs",
    found,
    where,
    hint: "Use the model's Hugging Face folder",
  });
