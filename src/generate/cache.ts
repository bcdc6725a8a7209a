import type { Model } from "../models/index.ts";
import { type HostTensor, sizeOf, tensor } from "../tensor/tensor.ts";
import type { Past } from "./cached-attention.ts";

/** Places that a cache grows by, at least: growing copies it, and attention reads free places too. */
const SPARE = 64;

/** Places that a prompt's beginning grows by, for the same reasons: many parts fit. */
const STEP = 256;

type Sizes = Pick<Model, "layers" | "kvHeads" | "headDim" | "attention">;

/** Keys and values of one row's tokens, first to last: those of row `row` in arrays `[rows, kvHeads, places, headDim]`, two a layer. */
export interface Remembered {
  readonly stores: readonly Float32Array[];
  readonly row: number;
  readonly places: number;
  readonly tokens: number;
}

/** What a program has put out of several rows. */
export const rememberedOf = (cache: readonly Past<HostTensor>[], row: number, tokens: number): Remembered => ({
  stores: cache.flatMap(({ keys, values }) => [keys.data as Float32Array, values.data as Float32Array]),
  row,
  places: cache[0]?.keys.shape[2] as number,
  tokens,
});

const inPairs = <T>(all: readonly T[]): Past<T>[] =>
  Array.from({ length: all.length / 2 }, (_, i) => ({ keys: all[2 * i] as T, values: all[2 * i + 1] as T }));

/** Bytes that the keys and values of a token take. */
export const bytesPerToken = ({ layers, kvHeads, headDim }: Sizes): number => 8 * layers * kvHeads * headDim;

/** Keys and values of one row that is read in parts, or of a beginning that rows have in common. */
export class Beginning {
  tokens = 0;
  places = 0;
  private stores: Float32Array[];

  /**
   * @param most tokens that it may have
   * @param places room at first; it grows with what is added
   */
  constructor(
    private readonly sizes: Sizes,
    private readonly most: number,
    places = most,
  ) {
    this.stores = Array.from({ length: 2 * sizes.layers }, () => new Float32Array(0));
    this.grow(places);
  }

  /** Behind what is there. */
  add({ stores, row, places, tokens }: Remembered): void {
    const { kvHeads, headDim } = this.sizes;
    const needed = this.tokens + tokens;
    if (needed > this.places) this.grow(Math.min(this.most, needed + STEP - (needed % STEP || STEP)));
    for (const [i, store] of this.stores.entries()) {
      for (let head = 0; head < kvHeads; head++) {
        const from = (row * kvHeads + head) * places * headDim;
        const part = (stores[i] as Float32Array).subarray(from, from + tokens * headDim);
        store.set(part, (head * this.places + this.tokens) * headDim);
      }
    }
    this.tokens += tokens;
  }

  remembered = (): Remembered => ({ stores: this.stores, row: 0, places: this.places, tokens: this.tokens });

  private grow(places: number): void {
    const { kvHeads, headDim } = this.sizes;
    this.stores = this.stores.map((old) => {
      const store = new Float32Array(kvHeads * places * headDim);
      for (let head = 0; head < kvHeads; head++) {
        const from = head * this.places * headDim;
        store.set(old.subarray(from, from + this.tokens * headDim), head * places * headDim);
      }
      return store;
    });
    this.places = places;
  }

  /** As arguments of programs: views, no copies. Places without a token are zeros. */
  views(): Past<HostTensor>[] {
    const { kvHeads, headDim } = this.sizes;
    return inPairs(this.stores.map((data) => tensor("float32", [1, kvHeads, this.places, headDim], data)));
  }
}

/** Keys, or values, of one layer: `[rows, kvHeads, capacity, headDim]`. */
interface Store {
  readonly data: Float32Array;
  readonly capacity: number;
  /** Most places that are ever needed: what the layer's window shows beside the token itself. Token t stands at place t modulo this. */
  readonly most: number;
}

/**
 * Keys and values of every layer for rows that are being written, in host memory that programs read in place. Rows come and leave. There is
 * room for tokens to come, so a step writes one place a row and head and copies nothing; a row that leaves is overwritten
 * by the last one, and what a row finds in its place is cleared, so that nothing of another row, be it no number, reaches it. A layer with
 * a window writes over what it sees no more.
 */
export class KvCache {
  /** Another one whenever rows or places are not where they were; writing behind them changes nothing. */
  version = 0;
  /** Tokens of each row. */
  private readonly tokens: number[] = [];
  private room = 0;
  private stores: Store[];

  constructor(private readonly sizes: Sizes) {
    this.stores = Array.from({ length: 2 * sizes.layers }, (_, i) => {
      const window = sizes.attention(Math.floor(i / 2)).window ?? Number.POSITIVE_INFINITY;
      return { data: new Float32Array(0), capacity: 0, most: window - 1 };
    });
  }

  /** As arguments of the decoding program: views, no copies. */
  views(): Past<HostTensor>[] {
    const { kvHeads, headDim } = this.sizes;
    const views = this.stores.map(({ data, capacity }) => {
      const shape = [this.tokens.length, kvHeads, capacity, headDim];
      return tensor("float32", shape, data.subarray(0, sizeOf(shape)));
    });
    return inPairs(views);
  }

  /** Takes in a row, as the last one. */
  add({ stores, row, places, tokens }: Remembered): void {
    const { kvHeads, headDim } = this.sizes;
    const at = this.tokens.push(tokens) - 1;
    this.version++;
    this.fit();
    for (const [i, { data, capacity, most }] of this.stores.entries()) {
      const size = capacity * headDim;
      data.fill(0, at * kvHeads * size, (at + 1) * kvHeads * size);
      for (let head = 0; head < kvHeads; head++) {
        const [from, to] = [(row * kvHeads + head) * places * headDim, (at * kvHeads + head) * size];
        for (let token = Math.max(0, tokens - most), end = 0; token < tokens; token = end) {
          end = Math.min(tokens, token - (token % most) + most);
          const run = (stores[i] as Float32Array).subarray(from + token * headDim, from + end * headDim);
          data.set(run, to + (token % most) * headDim);
        }
      }
    }
  }

  /** Writes a step's new keys and values, `[rows, layers * 2 * kvHeads * headDim]`, behind each row's tokens. */
  append(fresh: Float32Array): void {
    const { kvHeads, headDim } = this.sizes;
    const before = this.tokens.slice();
    for (const row of before.keys()) this.tokens[row] = (before[row] as number) + 1;
    this.fit();
    let from = 0;
    for (const [row, token] of before.entries()) {
      for (const { data, capacity, most } of this.stores) {
        for (let head = 0; head < kvHeads; head++) {
          const to = ((row * kvHeads + head) * capacity + (token % most)) * headDim;
          for (let i = 0; i < headDim; i++) data[to + i] = fresh[from++] as number;
        }
      }
    }
  }

  /** Drops a row; the last row takes its place. */
  remove(row: number): void {
    this.version++;
    const last = this.tokens.length - 1;
    this.tokens[row] = this.tokens[last] as number;
    this.tokens.pop();
    if (row !== last) {
      for (const { data, capacity } of this.stores) {
        const size = this.sizes.kvHeads * capacity * this.sizes.headDim;
        data.copyWithin(row * size, last * size, (last + 1) * size);
      }
    }
    this.fit();
  }

  /** Makes room for all tokens, and gives back what is much too large. */
  private fit(): void {
    const [rows, needed] = [this.tokens.length, Math.max(0, ...this.tokens)];
    const isFull = rows > this.room;
    if (isFull) this.room = Math.max(rows, Math.min(2 * this.room, this.room + SPARE));
    this.stores = this.stores.map((store) => {
      const { capacity, most } = store;
      const isWide = capacity > Math.min(needed + 2 * SPARE + (needed >> 2), most);
      if (!isFull && !isWide && Math.min(needed, most) <= capacity) return store;
      return this.moved(store, Math.min(Math.max(needed + Math.max(SPARE, needed >> 3), isWide ? 0 : capacity), most));
    });
  }

  private moved({ data, capacity, most }: Store, wanted: number): Store {
    this.version++;
    const { kvHeads, headDim } = this.sizes;
    const into = new Float32Array(this.room * kvHeads * wanted * headDim);
    const kept = Math.min(capacity, wanted) * headDim;
    const blocks = Math.min(into.length / (wanted * headDim), data.length / (capacity * headDim) || 0);
    for (let block = 0; block < blocks; block++) {
      const from = block * capacity * headDim;
      into.set(data.subarray(from, from + kept), block * wanted * headDim);
    }
    return { data: into, capacity: wanted, most };
  }
}
