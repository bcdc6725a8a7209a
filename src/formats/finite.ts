import { BoosterError } from "../errors.ts";
import type { HostTensor } from "../tensor/tensor.ts";

/**
 * Refuses a weight that holds NaN or an infinity: nothing that is computed from it would mean anything.
 *
 * @throws {BoosterError} `NON_FINITE_WEIGHT`, naming the tensor, the row-major index and the value.
 * @example
 * assertFinite("lm_head.weight", tensor("float32", [1], [Number.NaN]), "model.safetensors");
 */
export function assertFinite(name: string, { data, shape }: HostTensor<"float32">, where: string): void {
  const bits = new Uint32Array(data.buffer, data.byteOffset, data.length);
  // All exponent bits set: an infinity or NaN.
  let index = 0;
  while (index < bits.length && (bits[index]! & 0x7f800000) !== 0x7f800000) index++;
  if (index === bits.length) return;
  throw new BoosterError("NON_FINITE_WEIGHT", "a weight is not a finite number", {
    found: `${data[index]} at index ${index} of [${shape.join(", ")}]`,
    where: `${where}: tensor ${name}`,
    hint: "The file comes from a run that diverged, or is damaged",
  });
}
