import { create, toBinary } from "@bufbuild/protobuf";
import { showDim } from "../autodiff/dim.ts";
import type { OnnxConstant, OnnxGraph } from "../autodiff/lower.ts";
import { ONNX_TYPES } from "../autodiff/ops/index.ts";
import type { OnnxAttribute, TensorType } from "../autodiff/tensor.ts";
import { tensor } from "../tensor/tensor.ts";
import {
  AttributeProtoSchema,
  AttributeProto_AttributeType as AttributeType,
  GraphProtoSchema,
  ModelProtoSchema,
  NodeProtoSchema,
  OperatorSetIdProtoSchema,
  TensorProtoSchema,
  TensorShapeProto_DimensionSchema,
  TensorShapeProtoSchema,
  TypeProto_TensorSchema,
  TypeProtoSchema,
  ValueInfoProtoSchema,
} from "./onnx_pb.ts";

const IR_VERSION = 10n;
const OPSET = 21n;

function attribute(name: string, value: OnnxAttribute) {
  if (typeof value === "number") {
    return create(AttributeProtoSchema, { name, type: AttributeType.INT, i: BigInt(value) });
  }
  if (typeof value === "string") {
    return create(AttributeProtoSchema, { name, type: AttributeType.STRING, s: new TextEncoder().encode(value) });
  }
  if ("float" in value) return create(AttributeProtoSchema, { name, type: AttributeType.FLOAT, f: value.float });
  return create(AttributeProtoSchema, { name, type: AttributeType.INTS, ints: value.map(BigInt) });
}

function valueInfo(name: string, { dtype, shape }: TensorType) {
  const dim = shape.map((size) =>
    create(TensorShapeProto_DimensionSchema, {
      value:
        typeof size === "number"
          ? { case: "dimValue", value: BigInt(size) }
          : { case: "dimParam", value: showDim(size) },
    }),
  );
  const type = create(TypeProto_TensorSchema, {
    elemType: ONNX_TYPES[dtype],
    shape: create(TensorShapeProtoSchema, { dim }),
  });
  return create(ValueInfoProtoSchema, {
    name,
    type: create(TypeProtoSchema, { value: { case: "tensorType", value: type } }),
  });
}

function constantProto(name: string, { dtype, shape, values }: OnnxConstant) {
  const { data } = tensor(dtype, shape, values);
  return create(TensorProtoSchema, {
    name,
    dims: shape.map(BigInt),
    dataType: ONNX_TYPES[dtype],
    rawData: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
  });
}

/**
 * A graph as the bytes of an ONNX model.
 *
 * ONNX Runtime walks the graph depth first from its outputs and, where a node has several inputs, takes the one with
 * the highest node number first. Numbering backwards makes "highest" mean "earliest in the trace": what the trace
 * computes and finishes first is computed and freed first, which is what keeps the peak memory of a step low.
 */
export function encodeModel(graph: OnnxGraph): Uint8Array {
  const nodes = graph.nodes.map(({ type, domain, inputs, outputs, attributes }, i) =>
    create(NodeProtoSchema, {
      name: `${type}_${i}`,
      opType: type,
      domain,
      input: [...inputs],
      output: [...outputs],
      attribute: Object.entries(attributes).map(([name, value]) => attribute(name, value)),
    }),
  );
  const model = create(ModelProtoSchema, {
    irVersion: IR_VERSION,
    producerName: "booster",
    opsetImport: [
      create(OperatorSetIdProtoSchema, { domain: "", version: OPSET }),
      create(OperatorSetIdProtoSchema, { domain: "com.microsoft", version: 1n }),
    ],
    graph: create(GraphProtoSchema, {
      name: "program",
      node: nodes.reverse(),
      initializer: [...graph.constants].map(([name, value]) => constantProto(name, value)),
      input: [...graph.inputs].map(([name, type]) => valueInfo(name, type)),
      output: [...graph.outputs].map(([name, type]) => valueInfo(name, type)),
    }),
  });
  return toBinary(ModelProtoSchema, model);
}
