import { dim, type Tensor, type TensorType } from "../autodiff/index.ts";
import { IGNORE } from "../formats/labels.ts";
import { type HostTensor, tensor } from "../tensor/tensor.ts";
import type { Example } from "./batch.ts";

/** A batch with its padding, which is on the right. All int32 `[batch, time]`. */
export interface PaddedBatch<T = Tensor> {
  readonly ids: T;
  /** 1 at tokens, 0 at padding. */
  readonly mask: T;
  /** -100 where nothing is learned. */
  readonly labels: T;
}

/** Types of a batch with its padding as a program's arguments; sizes are those of `batchTypes` of the same name. */
export function paddedTypes(name: string): PaddedBatch<TensorType> {
  const type: TensorType = { dtype: "int32", shape: [dim(`${name}.batch`), dim(`${name}.time`)] };
  return { ids: type, mask: type, labels: type };
}

/** Examples as rows of equal length. */
export function packPadded(examples: readonly Example[], padId: number): PaddedBatch<HostTensor> {
  const time = Math.max(...examples.map(({ inputIds }) => inputIds.length));
  const grid = (at: (example: Example, t: number) => number, filler: number) => {
    const cells = new Int32Array(examples.length * time).fill(filler);
    examples.forEach((example, row) => {
      for (let t = 0; t < example.inputIds.length; t++) cells[row * time + t] = at(example, t);
    });
    return tensor("int32", [examples.length, time], cells);
  };
  return {
    ids: grid(({ inputIds }, t) => inputIds[t] as number, padId),
    mask: grid(() => 1, 0),
    labels: grid(({ labels }, t) => labels[t] as number, IGNORE),
  };
}
