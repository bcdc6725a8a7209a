import { dim, ops, type Shape, type Tensor, type TensorType } from "../autodiff/index.ts";
import {
  type Adapter,
  type Attend,
  type Model,
  rowsOf,
  rowTypes,
  type Weights,
  weightsOf,
  within,
} from "../models/index.ts";
import { type Device, type DeviceTensors, type Mapped, type Program, typesOf } from "../runtime/index.ts";
import type { HostTensor } from "../tensor/tensor.ts";
import { cachedAttention, type Past } from "./cached-attention.ts";

export interface GeneratorOptions {
  readonly device: Device;
  readonly model: Model;
  /** All weights of the model, on the device; shared with every other program. */
  readonly weights: DeviceTensors;
  /** Names and shapes of the LoRA factors that each call brings. Absent: the weights alone (plain or merged). */
  readonly adapter?: Adapter<ReadonlyMap<string, HostTensor>>;
}

/** What leaves the device: the most likely token of each row, int32 `[batch]`, or all logits, `[batch, vocabulary]`. */
export type Wanted = "tokens" | "logits";

/** The next token or logits; `finite` is 0 as long as every hidden state is finite. */
interface Next {
  readonly next: Tensor;
  readonly finite: Tensor;
}

export interface Programs {
  /**
   * Reads whole prompts without padding: for each the next token, and every layer's keys and values in the padded grid,
   * `[batch, kvHeads, time, headDim]`. In the last layer only each prompt's last token is computed.
   */
  readonly prefill: Program<Next & { readonly cache: readonly Past[] }>;
  /**
   * One token a row: the next token, and `fresh`, all layers' new keys and values side by side,
   * `[batch, layers * 2 * kvHeads * headDim]`. A row's cache is filled up to its position, or all around its window; what lies behind is not seen.
   */
  readonly decode: Program<Next & { readonly fresh: Tensor }>;
}

const int32 = (...shape: Shape): TensorType => ({ dtype: "int32", shape });

/** Compiles both programs; weights, of the types of `base`, and LoRA factors are arguments of each call. */
export async function compilePrograms(
  options: GeneratorOptions,
  base: Readonly<Record<string, TensorType>>,
  wanted: Wanted,
): Promise<Programs> {
  const { device, model, adapter = { scale: 1, tensors: new Map<string, HostTensor>() } } = options;
  const common = { base, tensors: typesOf(adapter.tensors) };
  const weightsIn = ({ base, tensors }: Mapped<typeof common, Tensor>) =>
    weightsOf(model, base, { scale: adapter.scale, tensors });
  const cache = Array.from({ length: model.layers }, (_, layer) => {
    const capacity = dim(`capacity ${model.attention(layer).window ?? ""}`.trimEnd());
    const past: TensorType = { dtype: "float32", shape: [dim("batch"), model.kvHeads, capacity, model.headDim] };
    return { keys: past, values: past };
  });

  const prefill = device.compile({ ...common, prompts: rowTypes("prompts") }, (given) => {
    const [weights, rows] = [weightsIn(given), rowsOf(given.prompts)];
    const remembered: Past[] = [];
    const remember = (layer: number, keys: Tensor, values: Tensor) => {
      remembered[layer] = { keys, values };
    };
    const where = within(model, weights, { ...rows, only: rows, remember });
    const hidden = model.hidden({ weights, ids: rows.ids, where });
    return { ...nextOf(weights, hidden, wanted), cache: remembered };
  });

  const types = { ...common, ids: int32(dim("batch")), positions: int32(dim("batch")), cache };
  const decode = device.compile(types, ({ ids, positions, ...given }) => {
    const weights = weightsIn(given);
    const fresh: Tensor[] = [];
    const attend: Attend = (layer, q, k, v) => {
      fresh.push(k, v);
      return cachedAttention(q, k, v, given.cache[layer] as Past, positions, model.attention(layer));
    };
    const hidden = model.hidden({ weights, ids, where: { positions, length: ops.add(positions, 1), attend } });
    return { ...nextOf(weights, hidden, wanted), fresh: ops.concat(fresh, 1) };
  });
  return { prefill: await prefill, decode: await decode };
}

function nextOf(weights: Weights, hidden: Tensor, wanted: Wanted): Next {
  const logits = weights.logits(hidden);
  return { next: wanted === "tokens" ? ops.argmax(logits) : logits, finite: ops.sum(ops.mul(hidden, 0)) };
}
