import { dim, ops, type Shape, type Tensor, type TensorType, type Tree } from "../autodiff/index.ts";
import type { Attend, Model } from "../models/index.ts";
import { attention, causalMask, type Layout, pack, unpack, weight } from "../nn/index.ts";
import type { Device, DeviceTensors, Program } from "../runtime/index.ts";
import { cachedAttention } from "./cached-attention.ts";

export interface GeneratorOptions {
  readonly device: Device;
  readonly model: Model;
  /** All weights of the model, on the device; shared with every other program. */
  readonly weights: DeviceTensors;
  /** Names and shapes of the LoRA factors that each call brings. Absent: the weights alone (plain or merged). */
  readonly lora?: ReadonlyMap<string, readonly number[]>;
  /** LoRA's alpha / rank. Needed with `lora`. */
  readonly loraScale?: number;
}

/** What leaves the device: the most likely token of each row, int32 `[batch]`, or all logits, `[batch, vocabulary]`. */
export type Wanted = "tokens" | "logits";

export interface Programs {
  readonly prefill: Program;
  readonly decode: Program;
}

/** Argument and result names of a layer's remembered keys and values. */
export const keysOf = (layer: number): string => `cache.keys.${layer}`;
export const valuesOf = (layer: number): string => `cache.values.${layer}`;

const int32 = (...shape: Shape): TensorType => ({ dtype: "int32", shape });
const float32 = (...shape: Shape): TensorType => ({ dtype: "float32", shape });

/** The head, and a number that is 0 as long as every hidden state is finite. */
function outputsOf({ model }: GeneratorOptions, args: Tree, hidden: Tensor, wanted: Wanted): Tree {
  const logits = ops.matmul(hidden, weight(args, model.head), { transB: true });
  const finite = ops.sum(ops.mul(hidden, 0));
  return { [wanted]: wanted === "tokens" ? ops.argmax(logits) : logits, finite };
}

/**
 * Reads whole prompts without padding, for each the next token and every layer's keys and values in the padded grid:
 * `[batch, kvHeads, time, headDim]`. In the last layer only each prompt's last token is computed.
 */
function prefill(options: GeneratorOptions, args: Tree, wanted: Wanted): Tree {
  const { model, loraScale = 1 } = options;
  const argument = (name: string) => weight(args, name);
  const layout: Layout = { grid: argument("grid"), row: argument("row"), column: argument("column") };
  const last = argument("last");
  const [batch, time] = [layout.grid.dim(0), layout.grid.dim(1)];
  const scale = 1 / Math.sqrt(model.headDim);
  const dtype = argument(model.head).dtype;
  const lastColumn = ops.reshape(ops.gather(ops.reshape(layout.column, [-1, 1]), last), [batch]);
  const everyMask = causalMask(ops.reshape(ops.range(time), [time, 1]), time, dtype);
  const lastMask = causalMask(ops.reshape(lastColumn, [batch, 1, 1, 1]), time, dtype);
  const remembered: Record<string, Tensor> = {};
  const remember = (layer: number, k: Tensor, v: Tensor) => {
    const keys = unpack(k, layout, model.kvHeads);
    const values = unpack(v, layout, model.kvHeads);
    Object.assign(remembered, { [keysOf(layer)]: keys, [valuesOf(layer)]: values });
    return { keys, values };
  };
  const attend: Attend = (layer, q, k, v) => {
    const { keys, values } = remember(layer, k, v);
    return pack(attention(unpack(q, layout, model.heads), keys, values, everyMask, scale), layout);
  };
  const attendLast: Attend = (layer, q, k, v) => {
    const { keys, values } = remember(layer, k, v);
    const Q = ops.reshape(q, [batch, model.heads, 1, model.headDim]);
    return ops.reshape(attention(Q, keys, values, lastMask, scale), q.shape);
  };
  const hidden = model.hidden({
    params: args,
    loraScale,
    inputIds: argument("inputIds"),
    positions: layout.column,
    attend,
    select: { rows: (x) => ops.gather(x, last), positions: lastColumn, attend: attendLast },
  });
  return { ...outputsOf(options, args, hidden, wanted), ...remembered };
}

/**
 * One token a row: the next token, and `fresh`, all layers' new keys and values side by side,
 * `[batch, layers * 2 * kvHeads * headDim]`. A row's cache is filled up to its position; what lies behind is not seen.
 */
function decode(options: GeneratorOptions, args: Tree, wanted: Wanted): Tree {
  const { model, loraScale = 1 } = options;
  const argument = (name: string) => weight(args, name);
  const positions = argument("positions");
  const dtype = argument(model.head).dtype;
  const before = ops.reshape(ops.sub(positions, 1), [positions.dim(0), 1, 1, 1]);
  const mask = causalMask(before, argument(keysOf(0)).dim(2), dtype);
  const fresh: Tensor[] = [];
  const attend: Attend = (layer, q, k, v) => {
    fresh.push(k, v);
    const past = { keys: argument(keysOf(layer)), values: argument(valuesOf(layer)) };
    return cachedAttention(q, k, v, past, mask, 1 / Math.sqrt(model.headDim));
  };
  const hidden = model.hidden({ params: args, loraScale, inputIds: argument("inputIds"), positions, attend });
  return { ...outputsOf(options, args, hidden, wanted), fresh: ops.concat(fresh, 1) };
}

/** Compiles both programs; weights and LoRA factors are arguments of each call. */
export async function compilePrograms(options: GeneratorOptions, wanted: Wanted): Promise<Programs> {
  const { device, model, weights, lora = new Map<string, readonly number[]>() } = options;
  const shapes = [...Object.entries(weights).map(([name, { dims }]) => [name, dims] as const), ...lora];
  const params = Object.fromEntries(shapes.map(([name, shape]): [string, TensorType] => [name, float32(...shape)]));
  const [tokens, batch, time] = [dim("tokens"), dim("batch"), dim("time")];
  const past = float32(batch, model.kvHeads, dim("capacity"), model.headDim);
  const cache = Object.fromEntries(
    Array.from({ length: model.layers }, (_, layer) => [keysOf(layer), valuesOf(layer)]).flatMap((names) =>
      names.map((name) => [name, past]),
    ),
  );
  const compile = (inputs: Record<string, TensorType>, trace: typeof prefill) =>
    device.compile({ inputs: { ...inputs, ...params } }, (args) => ({
      outputs: trace(options, args.inputs, wanted),
    }));
  return {
    prefill: await compile(
      {
        inputIds: int32(tokens),
        grid: int32(batch, time),
        row: int32(tokens),
        column: int32(tokens),
        last: int32(batch),
      },
      prefill,
    ),
    decode: await compile({ inputIds: int32(batch), positions: int32(batch), ...cache }, decode),
  };
}
