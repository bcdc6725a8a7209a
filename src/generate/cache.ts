import type { Model } from "../models/index.ts";
import { type HostTensor, sizeOf, tensor } from "../tensor/tensor.ts";
import type { Past } from "./cached-attention.ts";

/** Places that a cache grows by, at least: growing copies it, and attention reads free places too. */
const SPARE = 64;

/** Keys, or values, of one layer: `[rows, kvHeads, capacity, headDim]`. */
interface Store {
  readonly data: Float32Array;
  readonly capacity: number;
  /** Most places that are ever needed: what the layer's window shows beside the token itself. Token t stands at place t modulo this. */
  readonly most: number;
}

/**
 * Keys and values of every layer for the rows that are still being written, in host memory that programs read in place.
 * There is room for tokens to come, so a step writes one place a row and head and copies nothing; a row that leaves is
 * overwritten by the last one, which costs one row. A layer with a window writes over what it sees no more.
 */
export class KvCache {
  private readonly kvHeads: number;
  private readonly headDim: number;
  private readonly stores: Store[];
  private rows: number;

  /** From the results of a prefill of rows of these lengths; `room`: tokens that will follow at most. */
  constructor(
    { kvHeads, headDim, attention }: Pick<Model, "kvHeads" | "headDim" | "attention">,
    lengths: readonly number[],
    room: number,
    prefilled: readonly Past<HostTensor>[],
  ) {
    this.kvHeads = kvHeads;
    this.headDim = headDim;
    this.rows = lengths.length;
    const time = Math.max(...lengths);
    this.stores = prefilled.flatMap(({ keys, values }, layer) => {
      const most = (attention(layer).window ?? Number.POSITIVE_INFINITY) - 1;
      return [keys, values].map(({ data }) => {
        const read: Store = { data: data as Float32Array, capacity: time, most };
        return this.moved(read, time + Math.min(room, SPARE), (row) => lengths[row] as number);
      });
    });
  }

  /** As arguments of the decoding program: views, no copies. */
  views(): Past<HostTensor>[] {
    const view = (i: number) => {
      const { data, capacity } = this.stores[i] as Store;
      const shape = [this.rows, this.kvHeads, capacity, this.headDim];
      return tensor("float32", shape, data.subarray(0, sizeOf(shape)));
    };
    return Array.from({ length: this.stores.length / 2 }, (_, i) => ({ keys: view(2 * i), values: view(2 * i + 1) }));
  }

  /** Writes a step's new keys and values, `[rows, layers * 2 * kvHeads * headDim]`, at each row's position. */
  append(fresh: Float32Array, positions: readonly number[]): void {
    const { kvHeads, headDim, stores } = this;
    const needed = Math.max(...positions) + 1;
    for (const [i, store] of stores.entries()) {
      if (Math.min(needed, store.most) <= store.capacity) continue;
      stores[i] = this.moved(store, needed + Math.max(SPARE, needed >> 3), () => store.capacity);
    }
    let from = 0;
    for (const [row, position] of positions.entries()) {
      for (const { data, capacity, most } of stores) {
        for (let head = 0; head < kvHeads; head++) {
          const to = ((row * kvHeads + head) * capacity + (position % most)) * headDim;
          for (let i = 0; i < headDim; i++) data[to + i] = fresh[from++] as number;
        }
      }
    }
  }

  /** Drops a row; the last row takes its place. */
  remove(row: number): void {
    const last = --this.rows;
    if (row === last) return;
    for (const { data, capacity } of this.stores) {
      const size = this.kvHeads * capacity * this.headDim;
      data.copyWithin(row * size, last * size, (last + 1) * size);
    }
  }

  /** A store with `wanted` places, or all that its layer ever needs; of each row's tokens the last ones that fit. */
  private moved({ data, capacity, most }: Store, wanted: number, tokensOf: (row: number) => number): Store {
    const { rows, kvHeads, headDim } = this;
    const wider = Math.min(wanted, most);
    const into = new Float32Array(rows * kvHeads * wider * headDim);
    for (let block = 0; block < rows * kvHeads; block++) {
      const tokens = tokensOf(Math.floor(block / kvHeads));
      for (let token = Math.max(0, tokens - wider), end = 0; token < tokens; token = end) {
        end = Math.min(tokens, token - (token % most) + most);
        const run = data.subarray((block * capacity + token) * headDim, (block * capacity + end) * headDim);
        into.set(run, (block * wider + (token % most)) * headDim);
      }
    }
    return { data: into, capacity: wider, most };
  }
}
