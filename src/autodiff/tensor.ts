import { BoosterError } from "../errors.ts";
import type { DType } from "../tensor/tensor.ts";
import { type Dim, type Shape, showShape } from "./dim.ts";

/** What is known of a tensor while tracing. */
export interface TensorType {
  readonly dtype: DType;
  readonly shape: Shape;
}

/** ONNX attribute values; a number with a fraction is written as a float where `float` wraps it. */
export type OnnxAttribute = number | string | readonly number[] | { readonly float: number } | OnnxBody;

export interface OnnxNode {
  readonly type: string;
  readonly domain: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Readonly<Record<string, OnnxAttribute>>;
}

/** The graph that a node of control flow runs; it also reads values of the graph around it. */
export interface OnnxBody {
  readonly nodes: readonly OnnxNode[];
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
}

/** What is done in every turn of a loop, traced once. */
export interface Loop {
  /** What stands for the carried values, for this turn's part of what is scanned, and for what every turn reads. */
  readonly parameters: readonly Tensor[];
  /** The carried values for the next turn, and what this turn puts out. */
  readonly results: readonly Tensor[];
  readonly carried: number;
  readonly scanned: number;
}

/** Where lowering rules write ONNX nodes to; value names in, value names out. */
export interface Emitter {
  /** Execution provider that the program will run on. */
  readonly provider: string;
  /** Appends one ONNX node and returns the name of its first output. */
  node(type: string, inputs: readonly string[], attributes?: Record<string, OnnxAttribute>, domain?: string): string;
  /** Like `node`, for an operator with several outputs. */
  nodes(
    type: string,
    inputs: readonly string[],
    outputs: number,
    attributes?: Record<string, OnnxAttribute>,
    domain?: string,
  ): readonly string[];
  /** Name of the ONNX value of an already lowered tensor. */
  nameOf(tensor: Tensor): string;
  /** A constant of the given type. */
  constant(dtype: DType, shape: readonly number[], values: readonly number[]): string;
  /** A shape as a 1-D int64 value, computed when the program runs where it is symbolic. */
  shape(shape: Shape): string;
  /** A dimension as an int64 scalar. */
  dim(size: Dim): string;
  /** Values that several ops of one program have in common, written once. */
  shared(key: string, write: () => readonly string[]): readonly string[];
  /** A loop over the first axis of what is scanned: names of its results. */
  scan(body: Loop, names: readonly string[]): readonly string[];
}

/** Builds the gradient of one input, only when somebody wants it. */
export type Thunk = () => Tensor;

/** Inputs of one conformance case: float inputs are drawn from `[low, high]`, integer ones are given. */
export type SampleInput =
  | { readonly shape: readonly number[]; readonly low?: number; readonly high?: number }
  | { readonly shape: readonly number[]; readonly int32: readonly number[] }
  | { readonly shape: readonly number[]; readonly bool: readonly number[] }
  | { readonly shape: readonly number[]; readonly dtype: DType; readonly values: readonly number[] };

export interface Sample<A> {
  readonly inputs: readonly SampleInput[];
  readonly attrs: A;
}

/** Random choices for conformance cases. */
export interface Draw {
  /** Integer in [low, high]. */
  integer(low: number, high: number): number;
  /** A size from 1 to 4, where 1 is frequent. */
  size(): number;
  shape(rank?: number): number[];
}

/** The whole of a primitive operation: type, gradient, lowering and how it is tested, side by side. */
export interface Rule<A, I extends readonly Tensor[]> {
  readonly name: string;
  /** Result type; throws where the inputs do not fit. */
  type(inputs: I, attrs: A): TensorType;
  /** One thunk an input, undefined where nothing flows. Absent: not differentiable, cotangents stop here. */
  gradient?(context: {
    readonly inputs: I;
    readonly output: Tensor;
    readonly attrs: A;
    readonly cotangent: Tensor;
  }): readonly (Thunk | undefined)[];
  /** Writes ONNX nodes, returns the name of the result. */
  lower(
    emit: Emitter,
    context: { readonly inputs: I; readonly names: readonly string[]; readonly output: Tensor; readonly attrs: A },
  ): string;
  /** Random cases on which value and gradient are checked. */
  samples(draw: Draw): readonly Sample<A>[];
}

/** A rule with its attribute type hidden, as graph passes see it. */
export interface Op {
  readonly name: string;
  readonly differentiable: boolean;
  gradient(output: Tensor, cotangent: Tensor): readonly (Thunk | undefined)[];
  lower(emit: Emitter, output: Tensor): string;
  /** The same op on other inputs. */
  rebuild(inputs: readonly Tensor[], attrs: unknown): Tensor;
  samples(draw: Draw): readonly Sample<unknown>[];
}

let created = 0;

/** A node of the graph: what an operation gives for its inputs. Immutable; inputs always have smaller ids. */
export class Tensor {
  readonly id = created++;
  readonly dtype: DType;
  readonly shape: Shape;

  constructor(
    readonly op: Op,
    readonly inputs: readonly Tensor[],
    readonly attrs: unknown,
    type: TensorType,
  ) {
    this.dtype = type.dtype;
    this.shape = type.shape;
  }

  get rank(): number {
    return this.shape.length;
  }

  /** Size of an axis; negative axes count from the end. */
  dim(axis: number): Dim {
    const size = this.shape.at(axis);
    if (size === undefined) {
      throw new BoosterError("SHAPE_MISMATCH", "no such axis", {
        expected: showShape(this.shape),
        found: String(axis),
      });
    }
    return size;
  }
}

export interface OpFunction<A> {
  (inputs: readonly Tensor[], attrs: A): Tensor;
  readonly op: Op;
}

/**
 * Makes an operation from its rule.
 *
 * @example
 * const negative = defineOp<null, readonly [Tensor]>({ name: "neg", type: ([x]) => x, ... });
 */
export function defineOp<A, I extends readonly Tensor[]>(rule: Rule<A, I>): OpFunction<A> {
  // The only place where the attribute and input types of a node are recovered: nodes are made below alone.
  const attrsOf = (node: Tensor) => node.attrs as A;
  const inputsOf = (node: Tensor) => node.inputs as unknown as I;
  const apply = (inputs: readonly Tensor[], attrs: A): Tensor =>
    new Tensor(op, inputs, attrs, rule.type(inputs as unknown as I, attrs));
  const op: Op = {
    name: rule.name,
    differentiable: rule.gradient !== undefined,
    gradient: (output, cotangent) =>
      rule.gradient?.({ inputs: inputsOf(output), output, attrs: attrsOf(output), cotangent }) ?? [],
    lower: (emit, output) =>
      rule.lower(emit, {
        inputs: inputsOf(output),
        names: output.inputs.map((input) => emit.nameOf(input)),
        output,
        attrs: attrsOf(output),
      }),
    rebuild: (inputs, attrs) => apply(inputs, attrs as A),
    samples: rule.samples,
  };
  return Object.assign(apply, { op });
}

/** The error of every type rule: names the op and shows all shapes. */
export function shapeError(op: string, expected: string, inputs: readonly Tensor[]): BoosterError {
  return new BoosterError("SHAPE_MISMATCH", `${op}: shapes do not fit`, {
    expected,
    found: inputs.map((x) => `${x.dtype} ${showShape(x.shape)}`).join(" and "),
  });
}
