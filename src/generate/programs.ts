import { type Dim, dim, ops, product, type Shape, type Tensor, type TensorType } from "../autodiff/index.ts";
import type { Activations } from "../models/blocks.ts";
import {
  type Adapter,
  type Attend,
  type Model,
  type Rows,
  rowsOf,
  rowTypes,
  type Weights,
  type Where,
  weightsOf,
} from "../models/index.ts";
import { attention, type Grid, maskOf, pack, unpack } from "../nn/index.ts";
import { type Device, type DeviceTensors, type Mapped, type Program, typesOf } from "../runtime/index.ts";
import type { HostTensor } from "../tensor/tensor.ts";
import type { Beginning, KvCache } from "./cache.ts";
import { cachedAttention, type Past } from "./cached-attention.ts";
import { CopiedCache, capacityOf, compileAppend, pastTypes, type SeenCache, seenInPlace } from "./device-cache.ts";
import { type Stacks, stackTypes, withSlots } from "./slots.ts";

export interface GeneratorOptions {
  readonly device: Device;
  readonly model: Model;
  /** All weights of the model, on the device; shared with every other program. */
  readonly weights: DeviceTensors;
  /** Names and shapes of the LoRA factors that each call brings. Absent: the weights alone (plain or merged). */
  readonly adapter?: Adapter<ReadonlyMap<string, HostTensor>>;
  /** `rounded`: products with matrices in groups of few bits round the other side to 8 bits, as llama.cpp does: faster, other answers. Default `float32`. */
  readonly activations?: Activations | undefined;
}

/** What leaves the device: the most likely token of each row, int32 `[batch]`, all its logits, `[batch, vocabulary]`, or what these are made of, `[batch, hidden]`. */
export type Wanted = "tokens" | "logits" | "hidden";

/** What is wanted of each row, or of each token whose successor is asked for; `finite [batch]` is 0 where every hidden state is finite. */
interface Next {
  readonly next: Tensor;
  readonly finite: Tensor;
}

/**
 * Reads prompts, or parts of them, without padding, behind what all of them remember: for each the next token, and every layer's keys and
 * values in the padded grid, `[batch, kvHeads, time, headDim]`. In the last layer only tokens whose successor is asked for are computed. All rows
 * of a call have the adapter of one slot.
 */
export type Prefill = Program<Next & { readonly cache: readonly Past[] }>;

/**
 * One token a row: the next token, and `fresh`, all layers' new keys and values side by side,
 * `[batch, layers * 2 * kvHeads * headDim]`. A row's cache is filled up to its own tokens, or all around its window; what lies behind is not seen.
 */
export type Decode = Program<Next & { readonly fresh: Tensor }>;

/** Hidden states that `prefill` has put out, `[tokens, hidden]`, to logits. */
export type Head = Program<{ readonly logits: Tensor }>;

/** All of them, compiled when they are first asked for. */
export interface Programs {
  prefill(wanted: Wanted): Promise<Prefill>;
  decode(wanted: Wanted, isShared: boolean): Promise<Decode>;
  head(): Promise<Head>;
  /** How they read a cache: in place on the host, else a copy on the device. */
  seen(cache: KvCache, shared: Beginning | undefined): SeenCache;
}

const int32 = (...shape: Shape): TensorType => ({ dtype: "int32", shape });

/** How the programs are given a model's weights. */
export interface ProgramWeights {
  /** Of those that are arguments of each call. */
  readonly types: Readonly<Record<string, TensorType>>;
  /** Matrices that a program reads as they are stored, as a part of itself, see `blockParts`. */
  readonly blocks: Readonly<Record<"prefill" | "decode", () => ReadonlyMap<string, HostTensor>>>;
}

/**
 * Traces the programs of a model; weights and LoRA factors are arguments of each call.
 *
 * @param modules those that slots have factors of; none where rows name no adapters
 */
export function programsOf(
  options: GeneratorOptions,
  { types: base, blocks }: ProgramWeights,
  modules: readonly string[] = [],
): Programs {
  const { device, model, adapter = { scale: 1, tensors: new Map<string, HostTensor>() } } = options;
  const common = { base, tensors: typesOf(adapter.tensors), stacks: stackTypes(model, modules) };
  const slots = (count: Dim) => (modules.length === 0 ? {} : { slot: int32(count) });
  const weightsIn = ({ base, tensors, stacks, slot }: Mapped<typeof common, Tensor> & { readonly slot?: Tensor }) => {
    const weights = weightsOf(model, base, { scale: adapter.scale, tensors });
    return slot === undefined ? weights : withSlots(weights, stacks as Stacks, slot);
  };
  let append: ReturnType<typeof compileAppend> | undefined;

  return {
    prefill(wanted: Wanted): Promise<Prefill> {
      const frozen = Object.fromEntries(blocks.prefill());
      const types = {
        ...common,
        base: { ...base, ...typesOf(frozen) },
        prompts: rowTypes("prompts"),
        start: int32(1),
        length: int32(dim("prompts.tokens")),
        places: int32(dim("places")),
        past: pastTypes(model, 1, () => dim("past")),
        ...slots(1),
      };
      const read = (given: Mapped<typeof types, Tensor>) => {
        const [weights, rows] = [weightsIn(given), rowsOf(given.prompts)];
        const cache: Past[] = [];
        const where = behind(model, weights, rows, given, cache);
        const hidden = model.hidden({ weights, ids: rows.ids, where });
        return { ...nextOf(weights, hidden, wanted), cache };
      };
      return device.compile(types, read, { base: frozen });
    },

    /** @param isShared whether the rows have a beginning in common */
    decode(wanted: Wanted, isShared: boolean): Promise<Decode> {
      const frozen = Object.fromEntries(blocks.decode());
      const types = {
        ...common,
        base: { ...base, ...typesOf(frozen) },
        ids: int32(dim("batch")),
        positions: int32(dim("batch")),
        own: int32(dim("batch")),
        cache: pastTypes(model, dim("batch"), (layer) => capacityOf(model, layer)),
        shared: isShared ? pastTypes(model, 1, () => dim("shared")) : [],
        ...slots(dim("batch")),
      };
      const decode = ({ ids, positions, own, cache, shared, ...given }: Mapped<typeof types, Tensor>) => {
        const weights = weightsIn(given);
        const fresh: Tensor[] = [];
        const attend: Attend = (layer, q, k, v) => {
          fresh.push(k, v);
          const standing = { positions, own, shared: shared[layer] };
          return cachedAttention(q, k, v, cache[layer] as Past, standing, model.attention(layer));
        };
        const hidden = model.hidden({ weights, ids, where: { positions, length: ops.add(positions, 1), attend } });
        return { ...nextOf(weights, hidden, wanted), fresh: ops.concat(fresh, 1) };
      };
      return device.compile(types, decode, { base: frozen });
    },

    head(): Promise<Head> {
      const frozen = Object.fromEntries(blocks.prefill());
      const hidden: TensorType = { dtype: "float32", shape: [dim("tokens"), model.hiddenSize] };
      const types = { base: { ...base, ...typesOf(frozen) }, hidden };
      const logits = ({ base, hidden }: Mapped<typeof types, Tensor>) => ({
        logits: weightsOf(model, base).logits(hidden),
      });
      return device.compile(types, logits, { base: frozen });
    },

    seen(cache: KvCache, shared: Beginning | undefined): SeenCache {
      if (device.onHost) return seenInPlace(cache, shared);
      const compiled = () => {
        append ??= compileAppend(device, model);
        return append;
      };
      return new CopiedCache(device, model, compiled, cache, shared);
    },
  };
}

/** What a part of prompts is told of where it stands. Integers are int32. */
interface Behind {
  /** `[1]`, position of the part's first token in every row. */
  readonly start: Tensor;
  /** `[tokens]`, what counts as the length of each token's row. */
  readonly length: Tensor;
  /** `[places]`, positions of the remembered keys, and behind them those of the part's own; a place without a key is one that nobody has come to. */
  readonly places: Tensor;
  /** `[1, kvHeads, past, headDim]`, the same for all rows. */
  readonly past: readonly Past[];
}

/** Tokens of rows, each seeing those before it and what all rows remember; `cache` is given each layer's keys and values. */
function behind(
  model: Model,
  { dtype }: Weights,
  { column, grid, labelled, queries }: Rows,
  { start, length, places, past }: Behind,
  cache: Past[],
): Where {
  const [batch, time] = [grid.to.dim(0), grid.to.dim(1)];
  const attendFrom = (from: Grid, at: Tensor): Attend => {
    return (layer, q, k, v) => {
      const seeing = model.attention(layer);
      const [keys, values] = [unpack(k, grid, model.kvHeads), unpack(v, grid, model.kvHeads)];
      const before = past[layer] as Past;
      cache[layer] = { keys, values };
      const joined = (old: Tensor, fresh: Tensor) =>
        ops.concat([ops.expand(old, [batch, ...old.shape.slice(1)]), fresh], 2, "places");
      const later = maskOf(ops.less(at, places), dtype);
      const gone = seeing.window && maskOf(ops.less(places, ops.sub(at, seeing.window - 1)), dtype);
      const mask = gone ? ops.add(later, gone) : later;
      const Q = unpack(q, from, model.heads);
      return pack(attention(Q, joined(before.keys, keys), joined(before.values, values), mask, seeing), from);
    };
  };
  const positions = ops.add(column, start);
  const asked = ops.gather(positions, labelled.to);
  const [, blocks, each] = queries.to.shape as readonly [Dim, Dim, Dim];
  const asking = { ...queries, to: ops.reshape(queries.to, [batch, product(blocks, each)]) };
  const at = ops.reshape(ops.gather(asked, asking.to), [batch, 1, asking.to.dim(1), 1]);
  return {
    positions,
    length,
    attend: attendFrom(grid, ops.add(ops.reshape(ops.range(time), [time, 1]), start)),
    only: {
      rows: (x) => ops.move(x, labelled),
      positions: asked,
      length: ops.gather(length, labelled.to),
      attend: attendFrom(asking, at),
    },
  };
}

function nextOf(weights: Weights, hidden: Tensor, wanted: Wanted): Next {
  const of = {
    tokens: () => ops.argmax(weights.logits(hidden)),
    logits: () => weights.logits(hidden),
    hidden: () => hidden,
  };
  return {
    next: of[wanted](),
    finite: ops.sum(ops.mul(hidden, 0), { axes: [1] }),
  };
}
