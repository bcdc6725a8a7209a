import { dim, ops, type Tensor, type TensorType } from "../autodiff/index.ts";
import { factorsOf } from "../models/adapters.ts";
import type { Adapter, Model, Weights } from "../models/index.ts";
import { type HostTensor, zeros } from "../tensor/tensor.ts";

/** An adapter that rows may name. */
export interface SlotAdapter {
  /** Tells it from all others. */
  readonly key: string;
  /** Reads it, when a row needs it and it is not there: LoRA factors on linear layers. */
  load(): Promise<Adapter<ReadonlyMap<string, HostTensor<"float32">>>>;
}

/** Factors of all slots: A `[slots, rank, in]` and B `[slots, out, rank]` by module. */
export type Stacks<T = Tensor> = Readonly<Record<string, { readonly a: T; readonly b: T }>>;

/** Types of the stacks of some modules, for programs: any number of slots, of any rank. */
export function stackTypes({ linears }: Model, modules: readonly string[]): Stacks<TensorType> {
  const [slots, rank] = [dim("slots"), dim("rank")];
  const type = (...shape: TensorType["shape"]): TensorType => ({ dtype: "float32", shape });
  return Object.fromEntries(
    modules.map((module) => {
      const [out, width] = linears.get(module) as readonly [number, number];
      return [module, { a: type(slots, rank, width), b: type(slots, out, rank) }];
    }),
  );
}

/**
 * The weights with the adapter of a slot on them: `y + (x A[slot]') B[slot]'`. Each slot number speaks for as many rows of x as there are
 * rows for each: one a row in decoding, one for all tokens of a prompt. What the products cost grows with the rows, not with the adapters.
 *
 * @param slot int32 `[n]`, of `[n * each, in]`
 */
export const withSlots = (weights: Weights, stacks: Stacks, slot: Tensor): Weights => ({
  ...weights,
  linear(module, x) {
    const y = weights.linear(module, x);
    const stack = stacks[module];
    if (stack === undefined) return y;
    const product = (x: Tensor, of: Tensor) => ops.matmul(x, ops.gather(of, slot), { transB: true });
    const own = product(product(ops.reshape(x, [slot.dim(0), -1, x.dim(1)]), stack.a), stack.b);
    return ops.add(y, ops.reshape(own, y.shape));
  },
});

/** Ranks that slots are made for: few, so that adapters that come and go rarely change them. */
const RANKS = [8, 16, 32];
const LARGEST = 64;

/** Slots beside that of the base where nobody says how many. */
export const SLOTS = 8;

interface Slot {
  key: string | undefined;
  /** `failed`: told to the next row that asks, then forgotten. */
  state: "free" | "loading" | "ready" | { readonly failed: unknown };
  /** When a row was last let in with it. */
  used: number;
  /** Its adapter makes room: no further row gets it. */
  leaves: boolean;
}

/** What programs are given of a pool at one moment. */
export interface PoolView {
  readonly modules: readonly string[];
  readonly stacks: Stacks<HostTensor<"float32">>;
}

/**
 * Adapters in host memory, a slot each, side by side for programs to gather from. Slot 0 is the base itself: zeros. Adapters are loaded when a row
 * asks for them, into a slot that nobody holds, the least recently used one; one that a row holds is never written to. Where all are held, one of
 * them takes no further rows until it is empty, so that nobody waits for ever.
 *
 * @example
 * const engine = await generator.open(undefined, {}, new AdapterPool(model, 8));
 * engine.submit(ids, { maxNewTokens: 8, adapter: { key: "a", load: async () => asAdapter(readAdapter("runs/a/delta")) } });
 */
export class AdapterPool {
  /** Told when a slot has been loaded, or could not be. */
  onChange: () => void = () => undefined;
  private readonly slots: Slot[];
  private current: PoolView = { modules: [], stacks: {} };
  private rank = 0;
  private clock = 0;

  constructor(
    private readonly model: Model,
    count = SLOTS,
  ) {
    this.slots = Array.from({ length: count }, () => ({ key: undefined, state: "free", used: 0, leaves: false }));
  }

  /** Stays as it is: when modules or ranks change there is another one. */
  get view(): PoolView {
    return this.current;
  }

  get usage(): { readonly total: number; readonly used: number } {
    return { total: this.slots.length, used: this.slots.filter(({ key }) => key !== undefined).length };
  }

  /** Before rows are let in: those that still want a slot say so again. */
  begin(): void {
    for (const slot of this.slots) slot.leaves = false;
  }

  /**
   * The number of the slot that an adapter is in; undefined as long as it is in none, which is being changed.
   *
   * @param isHeld whether a row that is being answered holds a slot
   * @throws what loading the adapter throws
   */
  slotOf(adapter: SlotAdapter, isHeld: (slot: number) => boolean): number | undefined {
    const at = this.slots.findIndex(({ key }) => key === adapter.key);
    if (at >= 0) {
      const slot = this.slots[at] as Slot;
      if (slot.state === "ready" && !slot.leaves) {
        slot.used = ++this.clock;
        return at + 1;
      }
      if (typeof slot.state === "object") {
        const { failed } = slot.state;
        this.free(slot);
        throw failed;
      }
      return undefined;
    }
    const byUse = [...this.slots.entries()]
      .filter(([, { state, leaves }]) => state !== "loading" && !leaves)
      .sort(([, a], [, b]) => Number(a.key !== undefined) - Number(b.key !== undefined) || a.used - b.used);
    const open = byUse.find(([index]) => !isHeld(index + 1));
    if (open !== undefined) void this.fill(open[0], adapter);
    else if (byUse[0] !== undefined) byUse[0][1].leaves = true;
    return undefined;
  }

  /** No row gets this adapter any more unless it is loaded anew; the slot is filled again when nobody holds it. */
  forget(key: string): void {
    const slot = this.slots.find((slot) => slot.key === key);
    if (slot !== undefined) this.free(slot);
  }

  private free(slot: Slot): void {
    Object.assign(slot, { key: undefined, state: "free", used: 0 });
  }

  private async fill(at: number, { key, load }: SlotAdapter): Promise<void> {
    const slot: Slot = { key, state: "loading", used: ++this.clock, leaves: false };
    this.slots[at] = slot;
    try {
      const adapter = await load();
      if (slot.state !== "loading") return;
      this.write(at + 1, adapter);
      slot.state = "ready";
    } catch (failed) {
      if (slot.state === "loading") slot.state = { failed };
    }
    this.onChange();
  }

  private write(at: number, { scale, tensors }: Awaited<ReturnType<SlotAdapter["load"]>>): void {
    const factors = new Map(factorsOf({ tensors }).map((factor) => [factor.module, factor]));
    const rank = Math.max(...[...factors.values()].map(({ a }) => a.shape[0] as number));
    this.fit([...factors.keys()], RANKS.find((known) => rank <= known) ?? Math.ceil(rank / LARGEST) * LARGEST);
    for (const [module, stack] of Object.entries(this.current.stacks)) {
      const [a, b] = [stack.a, stack.b].map(({ shape, data }) => {
        const size = (shape[1] as number) * (shape[2] as number);
        return data.subarray(at * size, (at + 1) * size).fill(0);
      }) as [Float32Array, Float32Array];
      const factor = factors.get(module);
      if (factor === undefined) continue;
      const own = factor.a.shape[0] as number;
      a.set(factor.a.data);
      for (let row = 0; row < (factor.b.shape[0] as number); row++) {
        for (let i = 0; i < own; i++) b[row * this.rank + i] = scale * (factor.b.data[row * own + i] as number);
      }
    }
  }

  /** Makes stacks that have these modules as well, and at least this rank; what is in them stays. */
  private fit(modules: readonly string[], rank: number): void {
    const all = [...new Set([...this.current.modules, ...modules])].sort();
    if (rank <= this.rank && all.length === this.current.modules.length) return;
    const [before, old] = [this.current.stacks, this.rank];
    this.rank = Math.max(rank, old);
    const places = this.slots.length + 1;
    const stacks = all.map((module) => {
      const [out, width] = this.model.linears.get(module) as readonly [number, number];
      const [a, b] = [zeros("float32", [places, this.rank, width]), zeros("float32", [places, out, this.rank])];
      const was = before[module];
      for (let slot = 1; was !== undefined && slot < places; slot++) {
        const size = old * width;
        a.data.set(was.a.data.subarray(slot * size, (slot + 1) * size), slot * this.rank * width);
        for (let row = slot * out; row < (slot + 1) * out; row++) {
          b.data.set(was.b.data.subarray(row * old, (row + 1) * old), row * this.rank);
        }
      }
      return [module, { a, b }] as const;
    });
    this.current = { modules: all, stacks: Object.fromEntries(stacks) };
  }
}
