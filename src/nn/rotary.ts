import { ops, type Tensor } from "../autodiff/index.ts";
import type { DType } from "../tensor/tensor.ts";

/** Rotation by frequency bands as Llama 3 scales it to longer contexts. */
export interface Llama3Scaling {
  readonly factor: number;
  readonly lowFrequencyFactor: number;
  readonly highFrequencyFactor: number;
  readonly originalContext: number;
}

/**
 * Angle a token position, `theta^(-2i / width)` for i below width / 2, slowed down for long waves where `scaling` says.
 * Source: Hugging Face's `_compute_llama3_parameters`.
 */
export function rotaryFrequencies(width: number, theta: number, scaling?: Llama3Scaling): number[] {
  const frequencies = Array.from({ length: width / 2 }, (_, i) => theta ** ((-2 * i) / width));
  if (scaling === undefined) return frequencies;
  const { factor, lowFrequencyFactor: low, highFrequencyFactor: high, originalContext } = scaling;
  return frequencies.map((frequency) => {
    const wavelength = (2 * Math.PI) / frequency;
    if (wavelength > originalContext / low) return frequency / factor;
    if (wavelength < originalContext / high) return frequency;
    const smooth = (originalContext / wavelength - low) / (high - low);
    return ((1 - smooth) * frequency) / factor + smooth * frequency;
  });
}

/** Cosine and sine of position times frequency: positions int32 `[tokens]` -> two `[tokens, width / 2]`. */
export function rotaryTables(positions: Tensor, frequencies: readonly number[], dtype: DType) {
  const angle = ops.mul(
    ops.reshape(ops.cast(positions, dtype), [positions.dim(0), 1]),
    ops.constantTensor(
      { dtype: "float64", shape: [1, frequencies.length], data: Float64Array.from(frequencies) },
      dtype,
    ),
  );
  return { cos: ops.cos(angle), sin: ops.sin(angle) };
}
