import type { Model } from "../models/index.ts";
import { type HostTensor, tensor } from "../tensor/tensor.ts";
import type { Past } from "./cached-attention.ts";

/** Places that a cache grows by, at least: growing copies it, and attention reads free places too. */
const SPARE = 64;

/**
 * Keys and values of every layer for the rows that are still being written: `[rows, kvHeads, capacity, headDim]` in
 * host memory that programs read in place. There is room for tokens to come, so a step writes one place a row and head
 * and copies nothing; a row that leaves is overwritten by the last one, which costs one row.
 */
export class KvCache {
  private readonly kvHeads: number;
  private readonly headDim: number;
  private buffers: Float32Array[] = [];
  private rows: number;
  private capacity = 0;

  /** From the results of a prefill, whose grid has `time` places a row; `room`: tokens that will follow at most. */
  constructor(
    { kvHeads, headDim }: Pick<Model, "kvHeads" | "headDim">,
    rows: number,
    time: number,
    room: number,
    prefilled: readonly Past<HostTensor>[],
  ) {
    this.kvHeads = kvHeads;
    this.headDim = headDim;
    this.rows = rows;
    this.buffers = prefilled.flatMap(({ keys, values }) => [keys, values].map(({ data }) => data as Float32Array));
    this.resize(time, time + Math.min(room, SPARE));
  }

  /** As arguments of the decoding program: views, no copies. */
  views(): Past<HostTensor>[] {
    const shape = [this.rows, this.kvHeads, this.capacity, this.headDim];
    const length = this.rows * this.kvHeads * this.capacity * this.headDim;
    const view = (i: number) => tensor("float32", shape, (this.buffers[i] as Float32Array).subarray(0, length));
    return Array.from({ length: this.buffers.length / 2 }, (_, i) => ({ keys: view(2 * i), values: view(2 * i + 1) }));
  }

  /** Writes a step's new keys and values, `[rows, layers * 2 * kvHeads * headDim]`, at each row's position. */
  append(fresh: Float32Array, positions: readonly number[]): void {
    const needed = Math.max(...positions) + 1;
    if (needed > this.capacity) this.resize(this.capacity, needed + Math.max(SPARE, needed >> 3));
    const { kvHeads, headDim, capacity, buffers } = this;
    let from = 0;
    for (const [row, position] of positions.entries()) {
      for (const buffer of buffers) {
        for (let head = 0; head < kvHeads; head++) {
          const to = ((row * kvHeads + head) * capacity + position) * headDim;
          for (let i = 0; i < headDim; i++) buffer[to + i] = fresh[from++] as number;
        }
      }
    }
  }

  /** Drops a row; the last row takes its place. */
  remove(row: number): void {
    const size = this.kvHeads * this.capacity * this.headDim;
    const last = --this.rows;
    if (row === last) return;
    for (const buffer of this.buffers) buffer.copyWithin(row * size, last * size, (last + 1) * size);
  }

  /** Moves `time` places of each row and head into buffers with more places. */
  private resize(time: number, capacity: number): void {
    const { rows, kvHeads, headDim } = this;
    this.buffers = this.buffers.map((old) => {
      const wider = new Float32Array(rows * kvHeads * capacity * headDim);
      for (let block = 0; block < rows * kvHeads; block++) {
        wider.set(old.subarray(block * time * headDim, (block + 1) * time * headDim), block * capacity * headDim);
      }
      return wider;
    });
    this.capacity = capacity;
  }
}
