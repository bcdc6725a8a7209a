import { ops, type Tensor, type TensorType, type Tree } from "../autodiff/index.ts";
import type { Finished, Outcome, Prepared, RunFacts } from "../methods/method.ts";
import type { ConfiguredMethod } from "../methods/registry.ts";
import { type HostTensor, sizeOf, tensor } from "../tensor/tensor.ts";
import { type FlatLayout, flatten, flattenHost, unflatten, unflattenHost } from "./flatten.ts";

const copyName = (name: string) => `copy ${name}`;
const memoryName = (name: string) => `memory ${name}`;

/** What a method keeps across steps, as the program's state holds it: copies of the weights flat, memory as it is. */
export class MethodState {
  private readonly layout: FlatLayout;
  private readonly copies: ReturnType<ConfiguredMethod["copies"]>;
  private readonly memory: ReturnType<ConfiguredMethod["memory"]>;

  constructor(method: ConfiguredMethod, facts: Pick<RunFacts, "model" | "rows">, layout: FlatLayout) {
    this.layout = layout;
    this.copies = method.copies();
    this.memory = method.memory(facts);
  }

  types(): Record<string, TensorType> {
    const flat: TensorType = { dtype: "float32", shape: [this.layout.size] };
    return {
      ...Object.fromEntries(Object.keys(this.copies).map((name) => [copyName(name), flat])),
      ...Object.fromEntries(
        Object.entries(this.memory).map(([name, { shape }]) => [
          memoryName(name),
          { dtype: "float32" as const, shape },
        ]),
      ),
    };
  }

  /** Values before the first step; `weights` flat. */
  initial(weights: HostTensor): Record<string, HostTensor> {
    const zero = () => tensor("float32", [this.layout.size], new Float32Array(this.layout.size));
    // Memory of its own for each: the device takes it over and writes to it in turn.
    const start = () => tensor("float32", [this.layout.size], weights.data.slice() as Float32Array);
    return {
      ...Object.fromEntries(
        Object.entries(this.copies).map(([name, from]) => [copyName(name), from === "weights" ? start() : zero()]),
      ),
      ...Object.fromEntries(
        Object.entries(this.memory).map(([name, { shape, fill }]) => [
          memoryName(name),
          tensor("float32", shape, new Float32Array(sizeOf(shape)).fill(fill)),
        ]),
      ),
    };
  }

  /** What was measured before the first step, as state. */
  prepared({ copies = {}, memory = {} }: Prepared): Record<string, HostTensor> {
    return {
      ...Object.fromEntries(
        Object.entries(copies).map(([name, trees]) => [copyName(name), flattenHost(trees, this.layout)]),
      ),
      ...Object.fromEntries(Object.entries(memory).map(([name, value]) => [memoryName(name), value])),
    };
  }

  /** The state as a method's program sees it. */
  read(state: Tree): { readonly copies: Readonly<Record<string, Tree>>; readonly memory: Tree } {
    return {
      copies: Object.fromEntries(
        Object.keys(this.copies).map((name) => [name, unflatten(state[copyName(name)] as Tensor, this.layout)]),
      ),
      memory: Object.fromEntries(Object.keys(this.memory).map((name) => [name, state[memoryName(name)] as Tensor])),
    };
  }

  /** What a program changed, as state. */
  next({ copies = {}, memory = {} }: Outcome): Tree {
    return {
      ...Object.fromEntries(Object.entries(copies).map(([name, x]) => [copyName(name), flatten(x, this.layout)])),
      ...Object.fromEntries(
        Object.entries(memory).map(([name, x]) => [
          memoryName(name),
          ops.expand(x, this.memory[name]?.shape ?? x.shape),
        ]),
      ),
    };
  }

  finished(weights: Finished["weights"], saved: ReadonlyMap<string, HostTensor>): Finished {
    return {
      weights,
      copies: Object.fromEntries(
        Object.keys(this.copies).map((name) => [
          name,
          unflattenHost(saved.get(copyName(name)) as HostTensor, this.layout),
        ]),
      ),
      memory: Object.fromEntries(
        Object.keys(this.memory).map((name) => [name, saved.get(memoryName(name)) as HostTensor]),
      ),
    };
  }
}
