import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { showDim } from "../autodiff/dim.ts";
import { type OnnxConstant, type OnnxGraph, readsOf } from "../autodiff/lower.ts";
import { ONNX_TYPES } from "../autodiff/ops/index.ts";
import type { OnnxAttribute, OnnxBody, OnnxNode, TensorType } from "../autodiff/tensor.ts";
import { type HostTensor, tensor } from "../tensor/tensor.ts";
import {
  type AttributeProtoSchema,
  AttributeProto_AttributeType as AttributeType,
  ModelProtoSchema,
  type ValueInfoProtoSchema,
} from "./onnx_pb.ts";

const IR_VERSION = 10n;
const OPSET = 21;
/** Operators of later versions: only programs that have them ask for one, since not every provider knows it. */
const LATER: Readonly<Record<string, number>> = { BitCast: 26 };

/** Types of values by name. */
type TypeOf = (name: string) => TensorType | undefined;

function attribute(name: string, value: OnnxAttribute, typeOf: TypeOf): MessageInitShape<typeof AttributeProtoSchema> {
  if (typeof value === "number") return { name, type: AttributeType.INT, i: BigInt(value) };
  if (typeof value === "string") return { name, type: AttributeType.STRING, s: new TextEncoder().encode(value) };
  if ("nodes" in value) return { name, type: AttributeType.GRAPH, g: bodyProto(name, value, typeOf) };
  if ("float" in value) return { name, type: AttributeType.FLOAT, f: value.float };
  return { name, type: AttributeType.INTS, ints: value.map(BigInt) };
}

/** With shapes: ONNX Runtime asks how many axes a body's results have. */
const bodyProto = (name: string, { nodes, inputs, outputs }: OnnxBody, typeOf: TypeOf) => {
  const infos = (names: readonly string[]) => names.map((value) => valueInfo(value, typeOf(value) as TensorType));
  return { name, node: nodeProtos(nodes, typeOf), input: infos(inputs), output: infos(outputs) };
};

const nodeProtos = (nodes: readonly OnnxNode[], typeOf: TypeOf) =>
  nodes.map(({ type, domain, inputs, outputs, attributes }, i) => ({
    name: `${type}_${i}`,
    opType: type,
    domain,
    input: [...inputs],
    output: [...outputs],
    attribute: Object.entries(attributes).map(([name, value]) => attribute(name, value, typeOf)),
  }));

/** Shapes are written for bodies alone: see `encodeModel`. */
function valueInfo(
  name: string,
  { dtype, shape }: Pick<TensorType, "dtype"> & Partial<TensorType>,
): MessageInitShape<typeof ValueInfoProtoSchema> {
  const dim = shape?.map((size) =>
    typeof size === "number"
      ? { value: { case: "dimValue" as const, value: BigInt(size) } }
      : { value: { case: "dimParam" as const, value: showDim(size) } },
  );
  const elemType = ONNX_TYPES[dtype];
  const value = dim === undefined ? { elemType } : { elemType, shape: { dim } };
  return { name, type: { value: { case: "tensorType", value } } };
}

function constantProto(name: string, { dtype, shape, values }: OnnxConstant) {
  const { data } = tensor(dtype, shape, values);
  const rawData = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return { name, dims: shape.map(BigInt), dataType: ONNX_TYPES[dtype], rawData };
}

/** Operators whose order decides how much is in memory at once: products, and what makes little out of much. */
const TIMELY = new Set(["Gemm", "MatMul", "FusedMatMul", "GatherElements", "Scan"]);

/** How many timely nodes a result may wait for its reader. */
const PATIENCE = 2;

/** Whether none of the next timely nodes after node `at` depends on it, so that none leads to it when its turn comes. */
function isSideBranch(nodes: readonly OnnxNode[], at: number): boolean {
  const dependent = new Set(nodes[at]?.outputs);
  for (let i = at + 1, seen = 0; i < nodes.length && seen < PATIENCE; i++) {
    const { type, outputs } = nodes[i] as OnnxNode;
    const depends = readsOf(nodes[i] as OnnxNode).some((name) => dependent.has(name));
    if (depends) for (const name of outputs) dependent.add(name);
    if (!TIMELY.has(type)) continue;
    if (depends) return false;
    seen++;
  }
  return true;
}

const FLAT = "flat";
const FLAT_SHAPE: OnnxConstant = { dtype: "int64", shape: [1], values: [-1] };

/** Timely nodes on side branches are followed by a view of their result that nobody reads; it costs nothing. */
const anchored = (nodes: readonly OnnxNode[]): OnnxNode[] =>
  nodes.flatMap((node, i) => {
    if (!TIMELY.has(node.type) || !isSideBranch(nodes, i)) return [node];
    const result = node.outputs[0] as string;
    return [node, { type: "Reshape", domain: "", inputs: [result, FLAT], outputs: [`${result}.done`], attributes: {} }];
  });

/**
 * A graph as the bytes of an ONNX model, numbered so that ONNX Runtime executes it in the order of the trace.
 *
 * ONNX Runtime starts from the nodes that nobody reads, the one with the highest number first, and walks to its inputs
 * depth first. So nodes are numbered backwards, and each node that matters gets a reader that nobody reads: it is
 * then computed when its turn in the trace comes, not when something else happens to lead there. A pass that is finished
 * before the next one begins is freed before the next one begins; without this, Booster's three passes overlap.
 *
 * Shapes are left out, and all from which ONNX Runtime could infer them. With them kernels would work in place, which saves neither
 * time nor memory here, and its planner would compare each result of which it knows the number of axes with every buffer that is free
 * by then: most of what opening a session takes, half a minute for the 13 000 nodes of a Booster step on a 30-layer model.
 * `Program` checks shapes itself, and the arena finds free memory without the planner.
 */
export function encodeModel(graph: OnnxGraph, frozen: ReadonlyMap<string, HostTensor> = new Map()): Uint8Array {
  const nodes = nodeProtos(anchored(graph.nodes), (name) => graph.types.get(name));
  const constants = [...graph.constants, [FLAT, FLAT_SHAPE] as const];
  const given = [...graph.inputs].filter(([name]) => !frozen.has(name));
  const fixed = [...frozen].filter(([name]) => graph.inputs.has(name));
  const model = create(ModelProtoSchema, {
    irVersion: IR_VERSION,
    producerName: "booster",
    opsetImport: [
      { domain: "", version: BigInt(Math.max(...graph.nodes.map(({ type }) => LATER[type] ?? OPSET), OPSET)) },
      { domain: "com.microsoft", version: 1n },
    ],
    graph: {
      name: "program",
      node: nodes.reverse(),
      initializer: [
        ...constants.map(([name, value]) => constantProto(name, value)),
        ...fixed.map(([name, { dtype, shape, data }]) =>
          constantProto(name, { dtype, shape, values: data as Float32Array }),
        ),
      ],
      // A constant that could be overridden is not looked into when shapes are inferred.
      input: [...given, ...constants].map(([name, { dtype }]) => valueInfo(name, { dtype })),
      output: [...graph.outputs].map(([name, { dtype }]) => valueInfo(name, { dtype })),
    },
  });
  return toBinary(ModelProtoSchema, model);
}
