import { dim, ops, type Tensor, type TensorType } from "../autodiff/index.ts";
import { BoosterError } from "../errors.ts";
import { factorsOf } from "../models/adapters.ts";
import type { Adapter, Model, Weights } from "../models/index.ts";
import { type HostTensor, tensor, zeros } from "../tensor/tensor.ts";

/** An adapter that rows may name. */
export interface SlotAdapter {
  /** Tells it from all others. */
  readonly key: string;
  /** Reads it, when a row needs it and it is not there: LoRA factors on linear layers. */
  load(): Promise<Adapter<ReadonlyMap<string, HostTensor<"float32">>>>;
}

/** Factors of slots: A `[slots, rank, in]` and B' `[slots, rank, out]` by module. */
export type Stacks<T = Tensor> = Readonly<Record<string, { readonly a: T; readonly b: T }>>;

/** Types of the stacks of some modules, for programs: any number of slots, of any rank. */
export function stackTypes({ linears }: Model, modules: readonly string[]): Stacks<TensorType> {
  const [slots, rank] = [dim("slots"), dim("rank")];
  const type = (...shape: TensorType["shape"]): TensorType => ({ dtype: "float32", shape });
  return Object.fromEntries(
    modules.map((module) => {
      const [out, width] = linears.get(module) as readonly [number, number];
      return [module, { a: type(slots, rank, width), b: type(slots, rank, out) }];
    }),
  );
}

/**
 * The weights with adapters on them. One slot number speaks for all of x: `y + (x A') B'`. Else each row of x has its own: all rows meet the factors
 * of all slots, as one matrix each, and of `x A'` a row keeps its own slot's part. That reads what is loaded once and copies nothing; gathering
 * factors row by row copies more than the base's own products read. What is not kept is replaced and not multiplied by 0, so a slot whose
 * numbers are none reaches its own rows alone.
 *
 * @param slot int32 `[1]`, or `[rows]` of x
 */
export function withSlots(weights: Weights, stacks: Stacks, slot: Tensor): Weights {
  const [some] = Object.values(stacks);
  const isOne = slot.dim(0) === 1;
  const flat = (of: Tensor) => ops.reshape(isOne ? ops.gather(of, slot) : of, [-1, of.dim(2)]);
  const column = ops.reshape(slot, [slot.dim(0), 1, 1]);
  const isOwn = some && ops.equal(column, ops.reshape(ops.range(some.a.dim(0)), [1, -1, 1]));
  const kept = (h: Tensor, { a }: Stacks[string]) =>
    isOne || isOwn === undefined
      ? h
      : ops.reshape(ops.where(isOwn, ops.reshape(h, [h.dim(0), a.dim(0), a.dim(1)]), 0), [h.dim(0), -1]);
  return {
    ...weights,
    linear(module, x) {
      const y = weights.linear(module, x);
      const stack = stacks[module];
      if (stack === undefined) return y;
      const h = ops.matmul(x, flat(stack.a), { transB: true });
      return ops.add(y, ops.matmul(kept(h, stack), flat(stack.b)));
    },
  };
}

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
 * Adapters in host memory, a slot each, side by side. Slot 0 is the base itself: zeros. Adapters are loaded when a row
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
  /** Of all slots. */
  private stacks: PoolView["stacks"] = {};
  /** What programs are given of them. */
  private current: PoolView = { modules: [], stacks: {} };
  private rank = 0;
  private top = 0;
  private clock = 0;

  constructor(
    private readonly model: Model,
    count = SLOTS,
  ) {
    this.slots = Array.from({ length: count }, () => ({ key: undefined, state: "free", used: 0, leaves: false }));
  }

  /** Stays as it is: when modules, ranks or the number of slots change there is another one. */
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
    for (const [module, stack] of Object.entries(this.stacks)) {
      const [a, b] = [stack.a, stack.b].map((of) => partOf(of, at, at + 1).data.fill(0)) as [
        Float32Array,
        Float32Array,
      ];
      const factor = factors.get(module);
      if (factor === undefined) continue;
      const [out, own] = factor.b.shape as readonly [number, number];
      a.set(factor.a.data);
      for (let i = 0; i < own; i++) {
        for (let row = 0; row < out; row++) b[i * out + row] = scale * (factor.b.data[row * own + i] as number);
      }
      if (b.every(Number.isFinite)) continue;
      // Rows of other slots meet these numbers too, times 0.
      b.fill(0);
      throw new BoosterError("NON_FINITE_WEIGHT", "an adapter's scale makes numbers that are none", { where: module });
    }
    this.top = Math.max(this.top, at + 1);
    this.show();
  }

  /** Programs are given the slots that have ever been filled. */
  private show(): void {
    const shown = Object.entries(this.stacks).map(([module, { a, b }]) => [
      module,
      { a: partOf(a, 0, this.top), b: partOf(b, 0, this.top) },
    ]);
    this.current = { modules: Object.keys(this.stacks), stacks: Object.fromEntries(shown) };
  }

  /** Makes stacks that have these modules as well, and at least this rank; what is in them stays. */
  private fit(modules: readonly string[], rank: number): void {
    const before = this.stacks;
    const all = [...new Set([...Object.keys(before), ...modules])].sort();
    if (rank <= this.rank && all.length === Object.keys(before).length) return;
    this.rank = Math.max(rank, this.rank);
    const places = this.slots.length + 1;
    const stacks = all.map((module) => {
      const [out, width] = this.model.linears.get(module) as readonly [number, number];
      const [a, b] = [zeros("float32", [places, this.rank, width]), zeros("float32", [places, this.rank, out])];
      const was = before[module];
      for (let slot = 1; was !== undefined && slot < places; slot++) {
        partOf(a, slot, slot + 1).data.set(partOf(was.a, slot, slot + 1).data);
        partOf(b, slot, slot + 1).data.set(partOf(was.b, slot, slot + 1).data);
      }
      return [module, { a, b }] as const;
    });
    this.stacks = Object.fromEntries(stacks);
  }
}

/** Some slots of a stack: a view. */
function partOf({ data, shape }: HostTensor<"float32">, from: number, to: number): HostTensor<"float32"> {
  const [, rank, width] = shape as readonly [number, number, number];
  return tensor("float32", [to - from, rank, width], data.subarray(from * rank * width, to * rank * width));
}
