import { ops, type Tensor, type TensorType, type Tree, tree } from "../autodiff/index.ts";
import type { Finished, Outcome, Prepared, StepContext, TrainingMethod } from "../methods/method.ts";
import type { StateFacts, StateSpec } from "../methods/state.ts";
import { leaves, mapNested } from "../runtime/index.ts";
import { type HostTensor, sizeOf, tensor } from "../tensor/tensor.ts";
import { type FlatLayout, flatten, flattenHost, unflatten, unflattenHost } from "./flatten.ts";

const { mapTree } = tree;

type Sized = TensorType & { readonly shape: readonly number[] };
type Parts<T> = Readonly<Record<string, T>>;

/** What a method keeps, in the program's state: copies of the weights flat, memory as it is. Their paths are names in checkpoints. */
interface Kept<T> {
  readonly copy: Parts<T>;
  readonly memory: Parts<T | Parts<T>>;
}

/** What a method keeps across steps, on its way into the program's state and out of it. */
export class MethodState {
  readonly types: Kept<TensorType>;
  private readonly spec: StateSpec;

  constructor(
    { state }: TrainingMethod,
    facts: StateFacts,
    private readonly layout: FlatLayout,
  ) {
    this.spec = state;
    const float = (shape: readonly number[]): TensorType => ({ dtype: "float32", shape });
    this.types = this.kept<StateSpec[string], TensorType>(state, (spec) => {
      if (spec.kind === "copy") return float([layout.size]);
      return spec.kind === "memory" ? float(spec.shape(facts)) : mapTree(spec.shapes(facts), float);
    });
  }

  /** Values by name as a part of the state; a name without a value is left out. */
  private kept<V, T>(values: Parts<V>, fn: (value: NonNullable<V>, name: string) => T | Parts<T>): Kept<T> {
    const kept = { copy: {} as Record<string, T>, memory: {} as Record<string, T | Parts<T>> };
    for (const [name, value] of Object.entries(values)) {
      if (value === undefined || value === null) continue;
      Object.assign(this.spec[name]?.kind === "copy" ? kept.copy : kept.memory, { [name]: fn(value, name) });
    }
    return kept;
  }

  /** Values before the first step; `weights` flat. */
  initial(weights: HostTensor): Kept<HostTensor> {
    return this.kept<StateSpec[string], HostTensor>(this.spec, (spec, name) => {
      // Memory of its own for each: the device takes it over and writes to it in turn.
      if (spec.kind === "copy" && spec.from === "weights") {
        return tensor("float32", weights.shape, weights.data.slice() as Float32Array);
      }
      const fill = spec.kind === "copy" ? 0 : spec.fill;
      return mapNested(
        this.types[spec.kind === "copy" ? "copy" : "memory"][name] as Parts<TensorType>,
        ({ shape }: Sized) => tensor("float32", shape, new Float32Array(sizeOf(shape)).fill(fill)),
      );
    });
  }

  /** What was measured before the first step, as state. */
  prepared({ state = {} }: Prepared): Kept<HostTensor> {
    return this.kept(state, (value) =>
      value instanceof Map ? flattenHost(value, this.layout) : (value as HostTensor | Parts<HostTensor>),
    );
  }

  /** The state as a method's program sees it. */
  read({ copy, memory }: Kept<Tensor>): StepContext["state"] {
    const state = { ...mapTree(copy, (flat) => unflatten(flat, this.layout)), ...memory };
    return state as StepContext["state"];
  }

  /** What a program changed, as state. */
  next({ state = {} }: Outcome): Kept<Tensor> {
    return this.kept<Tensor | Tree | undefined, Tensor>(state, (value, name) => {
      const type = this.types.memory[name];
      if (type === undefined) return flatten(value as Tree, this.layout);
      if ("dtype" in value) return ops.expand(value as Tensor, (type as TensorType).shape);
      return mapTree(value as Tree, (x, part) => ops.expand(x, (type as Parts<TensorType>)[part]?.shape ?? x.shape));
    });
  }

  /** Names of its tensors among all of the state. */
  names(): string[] {
    return leaves(this.types).map(([path]) => path);
  }

  finished(weights: Finished["weights"], saved: ReadonlyMap<string, HostTensor>): Finished {
    const { copy, memory } = mapNested(this.types, (_: TensorType, path) => saved.get(path) as HostTensor);
    const state = { ...mapTree(copy, (flat) => unflattenHost(flat, this.layout)), ...memory };
    return { weights, state: state as Finished["state"] };
  }
}
