import { bodyOf, type Dim, type OnnxGraph, type OnnxNode, readsOf, type TensorType } from "../autodiff/index.ts";
import type { DType } from "../tensor/tensor.ts";
import { leaves, type Nested, typesOf } from "./nested.ts";

/** How fast a device is, as `machineOf` measures it. */
export interface Machine {
  /** Multiplications and additions of a large matrix product. */
  readonly flopsPerSecond: number;
  /** What a kernel without products reads and writes. */
  readonly bytesPerSecond: number;
  /** What a kernel takes that has nothing to do. */
  readonly secondsPerKernel: number;
}

/** What named sizes are in a call. */
export type Sizes = ReadonlyMap<string, number>;

const BYTES: Readonly<Record<DType, number>> = {
  float32: 4,
  float64: 8,
  int32: 4,
  int64: 8,
  bool: 1,
  float16: 2,
  uint16: 2,
  int8: 1,
  uint8: 1,
};

/** A dimension as a number. */
export const numberOf = (size: Dim, sizes: Sizes): number =>
  typeof size === "number"
    ? size
    : size.symbols.reduce((product, symbol) => product * (sizes.get(symbol) ?? 1), size.coefficient);

const elementsOf = ({ shape }: TensorType, sizes: Sizes): number =>
  shape.reduce<number>((product, size) => product * numberOf(size, sizes), 1);

/** Their result is the memory of what they are given. */
const VIEWS = new Set(["Reshape", "Squeeze", "Unsqueeze", "Identity"]);
const PRODUCTS = new Set(["Gemm", "MatMul", "FusedMatMul"]);
/** They look at shapes alone. */
const FREE = new Set(["Shape", "Size", ...VIEWS]);

/** What the named sizes of a program are, by what it is given. */
export function sizesOf({ inputs }: OnnxGraph, given: Nested): Sizes {
  const found = new Map(leaves<TensorType>(typesOf(given)));
  const sizes = new Map<string, number>();
  for (const [name, { shape }] of inputs) {
    const own = found.get(name)?.shape as readonly number[] | undefined;
    shape.forEach((size, axis) => {
      if (typeof size === "number" || size.symbols.length > 1) return;
      if (own !== undefined) sizes.set(size.symbols[0] as string, (own[axis] as number) / size.coefficient);
    });
  }
  return sizes;
}

/** What tensors take, wherever they are; bytes. */
export const bytesOfAll = (tensors: Nested): number =>
  leaves<TensorType>(typesOf(tensors)).reduce(
    (sum, [, type]) => sum + BYTES[type.dtype] * elementsOf(type, new Map()),
    0,
  );

const typeOf = ({ types, inputs }: OnnxGraph, name: string): TensorType | undefined =>
  types.get(name) ?? inputs.get(name);

function bytesOf(graph: OnnxGraph, name: string, sizes: Sizes): number {
  const type = typeOf(graph, name);
  return type === undefined ? 0 : BYTES[type.dtype] * elementsOf(type, sizes);
}

/** What a node's body is as a graph, and how often the node runs it; undefined where it has none. */
function loopOf(graph: OnnxGraph, node: OnnxNode, sizes: Sizes) {
  const body = bodyOf(node);
  if (body === undefined) return undefined;
  const scanned = node.inputs.at(-1) as string;
  const turns = numberOf(typeOf(graph, scanned)?.shape[0] ?? 1, sizes);
  // What turns put out is part of the node's results.
  return { turns, body: { ...graph, nodes: body.nodes, outputs: new Map() } };
}

/**
 * Most that the results of a call take at once, its arguments left out; bytes. Nodes run in their order, each result is made when its node
 * runs and freed after its last reader.
 *
 * @example
 * peakBytes(program.graph, new Map([["alignment.0.tokens", 900]]));
 */
export function peakBytes(graph: OnnxGraph, sizes: Sizes): number {
  const owners = new Map<string, string>();
  const ownerOf = (name: string) => owners.get(name) ?? name;
  const lastRead = new Map<string, number>();
  graph.nodes.forEach((node, at) => {
    const { type, inputs, outputs } = node;
    if (VIEWS.has(type)) owners.set(outputs[0] as string, ownerOf(inputs[0] as string));
    for (const name of [...readsOf(node), ...outputs]) lastRead.set(ownerOf(name), at);
  });
  for (const name of graph.outputs.keys()) lastRead.delete(ownerOf(name));
  const live = new Map<string, number>();
  let [now, most] = [0, 0];
  graph.nodes.forEach((node, at) => {
    const { type, outputs } = node;
    for (const name of VIEWS.has(type) ? [] : outputs) {
      live.set(name, bytesOf(graph, name, sizes));
      now += live.get(name) as number;
    }
    const loop = loopOf(graph, node, sizes);
    most = Math.max(most, now + (loop === undefined ? 0 : peakBytes(loop.body, sizes)));
    for (const name of new Set([...readsOf(node), ...outputs].map(ownerOf))) {
      if (lastRead.get(name) !== at) continue;
      now -= live.get(name) ?? 0;
      live.delete(name);
    }
  });
  return most;
}

/** Regions of ONNX Runtime's arena double until they are that large; bytes. */
const REGION = 2 ** 30;
/** Results with the gaps between them. */
const GAPS = 1.05;

/**
 * Memory that an arena takes for results of so many bytes at once. They lie in regions of 1, 2, 4 MB and so on up to a gigabyte, in the smallest
 * that has room, so that the last one is used no further than is needed. A second one of a gigabyte and those after it are all alike, and
 * in the course of a few batches every one is used to its end.
 */
export function arenaBytes(bytes: number): number {
  const spread = GAPS * bytes;
  return spread <= 2 * REGION ? spread : REGION * Math.ceil(spread / REGION);
}

/** Multiplications and additions of a node's matrix product; 0 where it is none. */
function flopsOf(graph: OnnxGraph, node: OnnxNode, sizes: Sizes): number {
  const loop = loopOf(graph, node, sizes);
  if (loop !== undefined) return loop.turns * flopsOfCall(loop.body, sizes);
  const { type, inputs, outputs, attributes } = node;
  if (!PRODUCTS.has(type)) return 0;
  const [a, result] = [typeOf(graph, inputs[0] as string), typeOf(graph, outputs[0] as string)];
  const inner = a?.shape.at(attributes.transA === 1 ? -2 : -1) ?? 0;
  return result === undefined ? 0 : 2 * elementsOf(result, sizes) * numberOf(inner, sizes);
}

/** Multiplications and additions of all matrix products of a call. */
export const flopsOfCall = (graph: OnnxGraph, sizes: Sizes): number =>
  graph.nodes.reduce((sum, node) => sum + flopsOf(graph, node, sizes), 0);

const BROADCAST = new Set(["Add", "Sub", "Mul", "Div"]);
/** And in the time in which such a kernel goes on to the next row, where it has a number for each row. */
const ROW_BYTES = 800;

/** What a kernel without products takes, in bytes that a memory could move in that time. */
function movedBy(graph: OnnxGraph, { type, inputs, outputs }: OnnxNode, sizes: Sizes): number {
  const moved = [...inputs, ...outputs].reduce((sum, name) => sum + bytesOf(graph, name, sizes), 0);
  const [result] = outputs.map((name) => typeOf(graph, name));
  const width = numberOf(result?.shape.at(-1) ?? 1, sizes);
  const byRow = inputs.some((name) => typeOf(graph, name)?.shape.at(-1) === 1) && width > 1;
  const rows = result !== undefined && BROADCAST.has(type) && byRow ? elementsOf(result, sizes) / width : 0;
  return moved + ROW_BYTES * rows;
}

/**
 * Time of a call: each kernel takes what its arithmetic takes, or its memory where that is more.
 * Source: Williams et al., "Roofline", CACM 2009.
 */
export function secondsOf(graph: OnnxGraph, sizes: Sizes, machine: Machine): number {
  let seconds = 0;
  for (const node of graph.nodes) {
    if (FREE.has(node.type)) continue;
    const loop = loopOf(graph, node, sizes);
    if (loop !== undefined) {
      seconds += loop.turns * secondsOf(loop.body, sizes, machine);
      continue;
    }
    const arithmetic = flopsOf(graph, node, sizes) / machine.flopsPerSecond;
    seconds += machine.secondsPerKernel + Math.max(arithmetic, movedBy(graph, node, sizes) / machine.bytesPerSecond);
  }
  return seconds;
}
