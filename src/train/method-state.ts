import { ops, type Tensor, type TensorType, type Tree } from "../autodiff/index.ts";
import type { Finished, Outcome, Prepared, TrainingMethod } from "../methods/method.ts";
import type { StateFacts, StateSpec } from "../methods/state.ts";
import { type HostTensor, sizeOf, tensor } from "../tensor/tensor.ts";
import { type FlatLayout, flatten, flattenHost, unflatten, unflattenHost } from "./flatten.ts";

type Shape = readonly number[];
type Parts<T> = Readonly<Record<string, T>>;

/**
 * What a method keeps across steps, as the program's state holds it: copies of the weights flat, memory as it is. In there, and in
 * checkpoints, they are called `copy NAME`, `memory NAME` and `memory NAME PART`.
 */
export class MethodState {
  private readonly layout: FlatLayout;
  private readonly spec: StateSpec;
  private readonly shapes: Parts<Shape | Parts<Shape>>;

  constructor({ state }: TrainingMethod, facts: StateFacts, layout: FlatLayout) {
    this.layout = layout;
    this.spec = state;
    this.shapes = this.each((_, spec) => {
      if (spec.kind === "copy") return [layout.size];
      return spec.kind === "memory" ? spec.shape(facts) : spec.shapes(facts);
    });
  }

  private each<T>(of: (name: string, spec: StateSpec[string]) => T): Record<string, T> {
    return Object.fromEntries(Object.entries(this.spec).map(([name, spec]) => [name, of(name, spec)]));
  }

  /** Values by name as tensors of the state, copies first; a name without a value is left out. */
  private slots<T>(values: Parts<unknown>, copied: (value: unknown) => T, kept = (value: T, _shape: Shape) => value) {
    const slots: Record<string, T> = {};
    const isCopy = ([name]: readonly [string, unknown]) => Number(this.spec[name]?.kind === "copy");
    for (const [name, value] of Object.entries(values).sort((a, b) => isCopy(b) - isCopy(a))) {
      const kind = this.spec[name]?.kind;
      if (value === undefined) continue;
      if (kind === "copy") slots[`copy ${name}`] = copied(value);
      else if (kind === "memory") slots[`memory ${name}`] = kept(value as T, this.shapes[name] as Shape);
      else {
        for (const [part, x] of Object.entries(value as Parts<T>)) {
          slots[`memory ${name} ${part}`] = kept(x, (this.shapes[name] as Parts<Shape>)[part] as Shape);
        }
      }
    }
    return slots;
  }

  /** The other way round. */
  private named<T>(slot: (name: string) => T, copied: (flat: T) => unknown): Record<string, unknown> {
    return this.each((name, { kind }) => {
      if (kind === "copy") return copied(slot(`copy ${name}`));
      if (kind === "memory") return slot(`memory ${name}`);
      const parts = Object.keys(this.shapes[name] as Parts<Shape>);
      return Object.fromEntries(parts.map((part) => [part, slot(`memory ${name} ${part}`)]));
    });
  }

  types(): Record<string, TensorType> {
    const shapes = Object.entries(this.slots(this.shapes, (shape) => shape as Shape));
    return Object.fromEntries(shapes.map(([slot, shape]) => [slot, { dtype: "float32" as const, shape }]));
  }

  /** Values before the first step; `weights` flat. */
  initial(weights: HostTensor): Record<string, HostTensor> {
    const filled = (shape: Shape, fill: number) => tensor("float32", shape, new Float32Array(sizeOf(shape)).fill(fill));
    const values = this.each((name, spec) => {
      const shape = this.shapes[name];
      if (spec.kind === "memories") {
        return Object.fromEntries(
          Object.entries(shape as Parts<Shape>).map(([part, x]) => [part, filled(x, spec.fill)]),
        );
      }
      if (spec.kind === "memory") return filled(shape as Shape, spec.fill);
      // Memory of its own for each: the device takes it over and writes to it in turn.
      if (spec.from === "weights") return tensor("float32", weights.shape, weights.data.slice() as Float32Array);
      return filled(shape as Shape, 0);
    });
    return this.slots(values, (value) => value as HostTensor);
  }

  /** What was measured before the first step, as state. */
  prepared({ state = {} }: Prepared): Record<string, HostTensor> {
    return this.slots(state, (trees) => flattenHost(trees as ReadonlyMap<string, HostTensor>, this.layout));
  }

  /** The state as a method's program sees it. */
  read(state: Tree): Record<string, unknown> {
    return this.named(
      (slot) => state[slot] as Tensor,
      (flat) => unflatten(flat, this.layout),
    );
  }

  /** What a program changed, as state. */
  next({ state = {} }: Outcome): Tree {
    return this.slots(
      state,
      (copy) => flatten(copy as Tree, this.layout),
      (x: Tensor, shape) => ops.expand(x, shape),
    );
  }

  finished(weights: Finished["weights"], saved: ReadonlyMap<string, HostTensor>): Finished {
    const state = this.named(
      (slot) => saved.get(slot) as HostTensor,
      (flat) => unflattenHost(flat, this.layout),
    );
    return { weights, state: state as Finished["state"] };
  }
}
