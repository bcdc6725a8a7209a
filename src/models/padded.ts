import { dim, ops, product, type Tensor, type TensorType, type Tree } from "../autodiff/index.ts";
import { IGNORE } from "../formats/labels.ts";
import { attention, causalMask, weight } from "../nn/index.ts";
import { type HostTensor, tensor } from "../tensor/tensor.ts";
import type { Forward, Model } from "./architecture.ts";
import type { Example } from "./batch.ts";

/** A batch with its padding, which is on the right. All int32 `[batch, time]`. */
export interface PaddedBatch {
  readonly ids: Tensor;
  /** 1 at tokens, 0 at padding. */
  readonly mask: Tensor;
  /** -100 where nothing is learned. */
  readonly labels: Tensor;
}

const FIELDS = ["ids", "mask", "labels"] as const;
const fieldName = (batch: string, field: string) => `${batch}.padded.${field}`;

/** Arguments of a program that reads a batch with its padding; sizes are those of `batchSpec` of the same name. */
export function paddedSpec(name: string): Record<string, TensorType> {
  const shape = [dim(`${name}.batch`), dim(`${name}.time`)];
  return Object.fromEntries(FIELDS.map((field) => [fieldName(name, field), { dtype: "int32", shape }]));
}

/** Examples as rows of equal length. */
export function packPadded(name: string, examples: readonly Example[], padId: number): Record<string, HostTensor> {
  const time = Math.max(...examples.map(({ inputIds }) => inputIds.length));
  const grid = (at: (example: Example, t: number) => number, filler: number) => {
    const cells = new Int32Array(examples.length * time).fill(filler);
    examples.forEach((example, row) => {
      for (let t = 0; t < example.inputIds.length; t++) cells[row * time + t] = at(example, t);
    });
    return tensor("int32", [examples.length, time], cells);
  };
  return {
    [fieldName(name, "ids")]: grid(({ inputIds }, t) => inputIds[t] as number, padId),
    [fieldName(name, "mask")]: grid(() => 1, 0),
    [fieldName(name, "labels")]: grid(({ labels }, t) => labels[t] as number, IGNORE),
  };
}

/** Finds the fields among the arguments of a program. */
export function paddedOf(name: string, inputs: Tree): PaddedBatch {
  const [ids, mask, labels] = FIELDS.map((field) => weight(inputs, fieldName(name, field)));
  return { ids, mask, labels } as PaddedBatch;
}

/** Hidden by the mask of keys; large, but finite. */
const HIDDEN = -1e9;

/**
 * Final hidden states of every position, padding included: `[batch * time, hidden]`. A padding position carries the
 * embedding of the padding token, stands at its own place in the row and sees the row's tokens alone, as in Hugging Face's models.
 */
export function paddedStates(
  model: Model,
  params: Tree,
  { ids, mask }: PaddedBatch,
  { loraScale, tap }: { readonly loraScale: number; readonly tap?: Forward["tap"] | undefined },
): Tensor {
  const [batch, time] = [ids.dim(0), ids.dim(1)];
  const tokens = product(batch, time);
  const dtype = weight(params, model.head).dtype;
  const later = causalMask(ops.reshape(ops.range(time), [time, 1]), time, dtype);
  const unseen = ops.where(ops.less(ops.reshape(mask, [batch, 1, 1, time]), 1), ops.constant(HIDDEN, dtype), 0);
  const heads = (x: Tensor, count: number) =>
    ops.transpose(ops.reshape(x, [batch, time, count, model.headDim]), [0, 2, 1, 3]);
  const attend: Forward["attend"] = (_layer, q, k, v) => {
    const [Q, K, V] = [heads(q, model.heads), heads(k, model.kvHeads), heads(v, model.kvHeads)];
    const mixed = attention(Q, K, V, ops.add(later, unseen), 1 / Math.sqrt(model.headDim));
    return ops.reshape(ops.transpose(mixed, [0, 2, 1, 3]), [tokens, model.heads * model.headDim]);
  };
  const positions = ops.reshape(ops.expand(ops.reshape(ops.range(time), [1, time]), [batch, time]), [tokens]);
  return model.hidden({
    params,
    loraScale,
    inputIds: ops.reshape(ids, [tokens]),
    positions,
    attend,
    ...(tap === undefined ? {} : { tap }),
  });
}
