import type { Tensor, Tree } from "../autodiff/index.ts";
import type { Model } from "../models/index.ts";
import type { HostTensor } from "../tensor/tensor.ts";

/** What shapes may depend on: the model, and the number of rows of each stream. */
export interface StateFacts {
  readonly model: Model;
  readonly rows: Readonly<Record<string, number>>;
}

type Shape = readonly number[];

/** A tree like the trained weights: it begins as they do, or as zeros. */
export interface Copy {
  readonly kind: "copy";
  readonly from: "weights" | "zeros";
}

/** A small tensor; all entries begin as `fill`. */
export interface Memory {
  readonly kind: "memory";
  readonly fill: number;
  shape(facts: StateFacts): Shape;
}

/** A tree of small tensors, each with a name and a shape of its own. */
export interface Memories {
  readonly kind: "memories";
  readonly fill: number;
  shapes(facts: StateFacts): Readonly<Record<string, Shape>>;
}

export const copy = (from: Copy["from"]): Copy => ({ kind: "copy", from });
export const memory = (shape: Memory["shape"], fill = 0): Memory => ({ kind: "memory", shape, fill });
export const memories = (shapes: Memories["shapes"], fill = 0): Memories => ({ kind: "memories", shapes, fill });
export const scalar = (fill = 0): Memory => memory(() => [], fill);

/** What a method keeps across steps, by name; it is saved and resumed like the weights. */
export type StateSpec = Readonly<Record<string, Copy | Memory | Memories>>;

type Held<Spec> = Spec extends Memory ? Tensor : Tree;

/** The state as programs see it: a tensor of each memory, a tree of everything else. */
export type StateOf<S extends StateSpec> = { readonly [K in keyof S]: Held<NonNullable<S[K]>> };

type Float = HostTensor<"float32">;
type HeldOnHost<Spec> = Spec extends Memory
  ? Float
  : Spec extends Copy
    ? ReadonlyMap<string, Float>
    : Readonly<Record<string, Float>>;

/** The state on the host. */
export type HostState<S extends StateSpec> = { readonly [K in keyof S]: HeldOnHost<NonNullable<S[K]>> };

/** A part of a state. */
export type Some<State> = { readonly [K in keyof State]?: State[K] | undefined };
