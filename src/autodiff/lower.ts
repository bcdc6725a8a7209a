import { BoosterError } from "../errors.ts";
import type { DType } from "../tensor/tensor.ts";
import { type Dim, type Shape, showDim } from "./dim.ts";
import { inputName } from "./ops/index.ts";
import { fuse, reachable, simplify } from "./passes.ts";
import type { Emitter, Loop, OnnxAttribute, OnnxBody, OnnxNode, Tensor, TensorType } from "./tensor.ts";

export interface OnnxConstant {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly values: ArrayLike<number>;
}

/** A graph ready to be encoded; nodes stand in the order in which they should run. */
export interface OnnxGraph {
  readonly nodes: readonly OnnxNode[];
  readonly constants: ReadonlyMap<string, OnnxConstant>;
  readonly inputs: ReadonlyMap<string, TensorType>;
  readonly outputs: ReadonlyMap<string, TensorType>;
  /** Of what nodes put out. Where a tensor takes several nodes, those before the last count as large as the last. */
  readonly types: ReadonlyMap<string, TensorType>;
}

/** Sizes and shapes, computed when the program runs. */
const FEW: TensorType = { dtype: "int64", shape: [1] };

/** The graph that a node runs, where it is control flow. */
export const bodyOf = ({ attributes: { body } }: Pick<OnnxNode, "attributes">): OnnxBody | undefined =>
  typeof body === "object" && "nodes" in body ? body : undefined;

/** All values that a node reads, those of its body from around it among them. */
export function readsOf(node: OnnxNode): readonly string[] {
  const body = bodyOf(node);
  return body === undefined ? node.inputs : [...node.inputs, ...body.outputs, ...body.nodes.flatMap(readsOf)];
}

/** Where nodes are written: the graph itself, or the body of one of its nodes. */
interface Scope {
  readonly nodes: OnnxNode[];
  readonly memo: Map<string, readonly string[]>;
}

class GraphWriter implements Emitter {
  readonly root: Scope = { nodes: [], memo: new Map() };
  private scope = this.root;
  readonly constants = new Map<string, OnnxConstant>();
  readonly types = new Map<string, TensorType>();
  private readonly names = new Map<number, string>();
  private readonly symbols = new Map<string, { input: string; axis: number }>();
  private counter = 0;

  /** @param inputs what the graph reads; others among the `declared` ones are added where a size is known by them alone */
  constructor(
    readonly provider: string,
    private readonly inputs: Map<string, TensorType>,
    private readonly declared: ReadonlyMap<string, TensorType>,
  ) {
    for (const [input, { shape }] of [...inputs, ...declared]) {
      shape.forEach((size, axis) => {
        const name = showDim(size);
        if (typeof size !== "number" && !this.symbols.has(name)) this.symbols.set(name, { input, axis });
      });
    }
  }

  define(tensor: Tensor): void {
    const { nodes } = this.scope;
    const before = nodes.length;
    const { dtype, shape } = tensor;
    this.names.set(tensor.id, tensor.op.lower(this, tensor));
    for (const { outputs } of nodes.slice(before)) {
      for (const name of outputs) if (!this.types.has(name)) this.types.set(name, { dtype, shape });
    }
  }

  nameOf(tensor: Tensor): string {
    return this.names.get(tensor.id) as string;
  }

  /** The body reads constants, sizes and whatever it does not compute from the graph around it. */
  scan({ parameters, results, carried, scanned }: Loop, names: readonly string[]): readonly string[] {
    const formal = carried + scanned;
    const inputs = parameters.slice(0, formal).map((x) => this.named(x));
    const given = new Map(parameters.map((x, i) => [inputName(x), inputs[i] ?? (names[i] as string)]));
    const tensors = fuse(simplify(results));
    const body = this.within({ nodes: [], memo: new Map() }, (scope) => {
      for (const node of reachable(tensors, (node) => node.inputs)) {
        const parameter = inputName(node);
        if (parameter === undefined) this.define(node);
        else this.names.set(node.id, given.get(parameter) as string);
      }
      const outputs = tensors.map((x) => {
        const [result] = this.nodes("Identity", [this.nameOf(x)], 1);
        this.types.set(result as string, x);
        return result as string;
      });
      return { nodes: collapseReshapes(scope.nodes, new Set(outputs)), inputs, outputs };
    });
    return this.nodes("Scan", names.slice(0, formal), results.length, { num_scan_inputs: scanned, body });
  }

  private within<T>(scope: Scope, write: (scope: Scope) => T): T {
    const around = this.scope;
    this.scope = scope;
    const written = write(scope);
    this.scope = around;
    return written;
  }

  /** A new name for a value of the tensor's type. */
  private named({ dtype, shape }: TensorType): string {
    const name = `%t${this.counter++}`;
    this.types.set(name, { dtype, shape });
    return name;
  }

  node(type: string, inputs: readonly string[], attributes: Record<string, OnnxAttribute> = {}, domain = ""): string {
    return this.nodes(type, inputs, 1, attributes, domain)[0] as string;
  }

  nodes(
    type: string,
    inputs: readonly string[],
    outputs: number,
    attributes: Record<string, OnnxAttribute> = {},
    domain = "",
  ): readonly string[] {
    const names = Array.from({ length: outputs }, () => `%t${this.counter++}`);
    this.scope.nodes.push({ type, domain, inputs, outputs: names, attributes });
    return names;
  }

  shared(key: string, write: () => readonly string[]): readonly string[] {
    const known = this.scope.memo.get(key) ?? this.root.memo.get(key);
    if (known !== undefined) return known;
    const names = write();
    this.scope.memo.set(key, names);
    return names;
  }

  /** What does not depend on where it is read stands in the graph itself. */
  private once(key: string, write: () => string): string {
    return this.within(this.root, () => this.shared(key, () => [write()]))[0] as string;
  }

  /** `once` for a value of a few numbers. */
  private few(key: string, write: () => string): string {
    const name = this.once(key, write);
    this.types.set(name, FEW);
    return name;
  }

  constant(dtype: DType, shape: readonly number[], values: readonly number[]): string {
    const key = `constant ${dtype} ${shape.join(",")} ${values.map((v) => (Object.is(v, -0) ? "-0" : v)).join(",")}`;
    return this.once(key, () => {
      const name = `%c${this.constants.size}`;
      this.constants.set(name, { dtype, shape, values });
      return name;
    });
  }

  dim(size: Dim): string {
    if (typeof size === "number") return this.constant("int64", [], [size]);
    const squeezed = () => this.node("Squeeze", [this.size(size), this.constant("int64", [1], [0])]);
    return this.few(`dim ${showDim(size)}`, squeezed);
  }

  shape(shape: Shape): string {
    if (shape.every((size) => typeof size === "number")) return this.constant("int64", [shape.length], shape);
    const sizes = () => shape.map((size) => this.size(size));
    return this.few(`shape ${shape.map(showDim).join(",")}`, () => this.node("Concat", sizes(), { axis: 0 }));
  }

  /** A dimension as an int64 vector of one element. */
  private size(size: Dim): string {
    if (typeof size === "number") return this.constant("int64", [1], [size]);
    return this.few(`size ${showDim(size)}`, () => {
      const direct = this.symbols.get(showDim(size));
      if (direct !== undefined) {
        const { input, axis } = direct;
        this.inputs.set(input, this.inputs.get(input) ?? (this.declared.get(input) as TensorType));
        return this.node("Shape", [input], { start: axis, end: axis + 1 });
      }
      if (size.symbols.length === 1 && size.coefficient === 1) {
        throw new BoosterError("UNKNOWN_DIMENSION", "a named size must be the size of an axis of some input", {
          expected: [...this.symbols.keys()].join(", "),
          found: showDim(size),
        });
      }
      const factors = size.symbols.map((symbol) => this.size({ coefficient: 1, symbols: [symbol] }));
      if (size.coefficient !== 1) factors.push(this.constant("int64", [1], [size.coefficient]));
      return factors.reduce((a, b) => this.node("Mul", [a, b]));
    });
  }
}

const isReshape = ({ type, attributes }: OnnxNode): boolean => type === "Reshape" && attributes.allowzero === undefined;

/** A reshape of a reshape is the second one alone; what nobody reads any more is gone. */
function collapseReshapes(nodes: readonly OnnxNode[], kept: ReadonlySet<string>): OnnxNode[] {
  const origins = new Map<string, string>();
  const direct = nodes.map((node) => {
    if (!isReshape(node)) return node;
    const [x, shape] = node.inputs as readonly [string, string];
    const origin = origins.get(x) ?? x;
    origins.set(node.outputs[0] as string, origin);
    return { ...node, inputs: [origin, shape] };
  });
  const read = new Set(direct.flatMap(readsOf));
  const isUsed = (name: string) => read.has(name) || kept.has(name);
  return direct.filter((node) => !isReshape(node) || node.outputs.some(isUsed));
}

function renamedIn(node: OnnxNode, rename: (name: string) => string): OnnxNode {
  const body = bodyOf(node);
  const attributes = body && {
    ...node.attributes,
    body: {
      ...body,
      nodes: body.nodes.map((inner) => renamedIn(inner, rename)),
      outputs: body.outputs.map(rename),
    },
  };
  const { inputs, outputs } = node;
  return { ...node, inputs: inputs.map(rename), outputs: outputs.map(rename), ...(attributes && { attributes }) };
}

/**
 * Lowers named output tensors to an ONNX graph: simplified, fused, dead code gone, in the order of the trace.
 *
 * @param declared inputs that there are; those that nothing reads are left out
 * @throws {BoosterError} `UNKNOWN_DIMENSION` when a named size cannot be read off any input
 */
export function lower(
  outputs: Readonly<Record<string, Tensor>>,
  provider: string,
  declared: ReadonlyMap<string, TensorType> = new Map(),
): OnnxGraph {
  const tensors = fuse(simplify(Object.values(outputs)));
  const order = reachable(tensors, (node) => node.inputs);
  const inputs = new Map<string, TensorType>();
  for (const node of order) {
    const name = inputName(node);
    if (name !== undefined) inputs.set(name, node);
  }
  const writer = new GraphWriter(provider, inputs, declared);
  for (const node of order) writer.define(node);

  const renamed = new Map<string, string>();
  const nodes = collapseReshapes(writer.root.nodes, new Set(tensors.map((tensor) => writer.nameOf(tensor))));
  const produced = new Set(nodes.flatMap((node) => node.outputs));
  Object.keys(outputs).forEach((output, i) => {
    const value = writer.nameOf(tensors[i] as Tensor);
    if (produced.has(value) && !renamed.has(value)) renamed.set(value, output);
    else nodes.push({ type: "Identity", domain: "", inputs: [value], outputs: [output], attributes: {} });
  });
  const rename = (name: string) => renamed.get(name) ?? name;
  return {
    nodes: nodes.map((node) => renamedIn(node, rename)),
    constants: writer.constants,
    inputs,
    outputs: new Map(Object.keys(outputs).map((name, i) => [name, tensors[i] as Tensor])),
    types: new Map([...writer.types].map(([name, type]) => [rename(name), type])),
  };
}
