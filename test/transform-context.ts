import { expect } from "vitest";
import { BoosterError } from "../src/errors.ts";
import type { LoraAdapter, TransformContext } from "../src/methods/transform.ts";
import { RandomStream } from "../src/tensor/random.ts";
import { type HostTensor, tensor } from "../src/tensor/tensor.ts";

/** Normal numbers in the given shape. */
export function normal(shape: readonly [number, number], name: string, seed = 1): HostTensor<"float32"> {
  const stream = new RandomStream(seed, name);
  const values = Array.from({ length: shape[0] * shape[1] }, (_, i) => stream.normal(i));
  return tensor("float32", shape, values);
}

/** Random LoRA factors of rank 2 on modules of the given `[out, in]`; alpha 6, so the scale is 3. */
export function randomAdapter(modules: Readonly<Record<string, readonly [number, number]>>, seed = 1): LoraAdapter {
  const tensors = new Map(
    Object.entries(modules).flatMap(([module, [out, width]]) => [
      [`${module}.lora_A.weight`, normal([2, width], `${module} a`, seed)] as const,
      [`${module}.lora_B.weight`, normal([out, 2], `${module} b`, seed)] as const,
    ]),
  );
  return { config: { r: 2, alpha: 6, targetModules: Object.keys(modules), useRslora: false }, tensors };
}

/** A context without a model: what is not given must not be asked for. */
export function contextOf(adapter: LoraAdapter, given: Partial<TransformContext> = {}): TransformContext {
  const absent = (what: string) => () => {
    throw new BoosterError("ARGUMENT_MISMATCH", `the transform asks for ${what}`);
  };
  return {
    adapter,
    weight: absent("weights"),
    alignmentChange: absent("the alignment"),
    safety: absent("a safety adapter"),
    observe: absent("activations"),
    random: (name) => new RandomStream(7, name),
    ...given,
  };
}

/** Every number within `10^-digits / 2` of the other. */
export function expectClose(found: ArrayLike<number>, wanted: ArrayLike<number>, digits: number): void {
  expect(found.length).toBe(wanted.length);
  const errors = Array.from(found, (value, i) => Math.abs(value - (wanted[i] as number)));
  expect(errors.reduce((largest, error) => Math.max(largest, error), 0)).toBeLessThan(10 ** -digits / 2);
}
