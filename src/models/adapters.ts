import type { LoraConfig } from "../formats/peft.ts";
import { multiply } from "../tensor/matrix.ts";
import { type HostTensor, zeros } from "../tensor/tensor.ts";
import { loraScale, type NamedWeights } from "./load.ts";

/** LoRA factors with what they are multiplied by: `alpha / r * B A` is added to each weight. */
export interface LoraAdapter {
  readonly config: LoraConfig;
  readonly tensors: NamedWeights;
}

/** Weight changes by module, float64 `[out, in]`. */
export type Changes = ReadonlyMap<string, HostTensor<"float64">>;

export interface Factors {
  readonly module: string;
  /** `[rank, in]` */
  readonly a: HostTensor<"float32">;
  /** `[out, rank]` */
  readonly b: HostTensor<"float32">;
}

export const nameOfA = (module: string): string => `${module}.lora_A.weight`;
export const nameOfB = (module: string): string => `${module}.lora_B.weight`;

/** Both factors of each module, in order of the modules' names. */
export function factorsOf({ tensors }: Pick<LoraAdapter, "tensors">): Factors[] {
  const modules = [...tensors.keys()].flatMap((name) => /^(.+)\.lora_A\.weight$/.exec(name)?.[1] ?? []);
  return modules.sort().map((module) => ({
    module,
    a: tensors.get(nameOfA(module)) as HostTensor<"float32">,
    b: tensors.get(nameOfB(module)) as HostTensor<"float32">,
  }));
}

/** What the adapter adds to each weight, `alpha / r * B A`. */
export function changesOf(adapter: LoraAdapter): Map<string, HostTensor<"float64">> {
  const scale = loraScale(adapter.config);
  return new Map(
    factorsOf(adapter).map(({ module, a, b }) => {
      const product = multiply(b, a);
      return [module, { ...product, data: product.data.map((value) => scale * value) }];
    }),
  );
}

/**
 * The adapter that adds the given matrices: one factor is the matrix, the other the identity. So any change of a weight can be
 * kept as a PEFT adapter, at the rank of the smaller side; entries are rounded to float32.
 */
export function adapterOfChanges(changes: Changes, targetModules: readonly string[]): LoraAdapter {
  const r = Math.max(...[...changes.values()].map(({ shape }) => Math.min(...shape)));
  const tensors = new Map<string, HostTensor<"float32">>();
  for (const [module, { shape, data }] of changes) {
    const [out = 0, width = 0] = shape;
    const a = zeros("float32", [r, width]);
    const b = zeros("float32", [out, r]);
    if (out <= width) {
      a.data.set(data);
      for (let i = 0; i < out; i++) b.data[i * r + i] = 1;
    } else {
      for (let i = 0; i < out; i++) b.data.set(data.subarray(i * width, (i + 1) * width), i * r);
      for (let i = 0; i < width; i++) a.data[i * width + i] = 1;
    }
    tensors.set(nameOfA(module), a).set(nameOfB(module), b);
  }
  return { config: { r, alpha: r, targetModules, useRslora: false }, tensors };
}
