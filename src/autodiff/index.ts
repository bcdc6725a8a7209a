export { type Dim, dim, product, quotient, type Shape, showShape } from "./dim.ts";
export { checkpoint, grad, type ValueAndGrad, valueAndGrad, vjp } from "./grad.ts";
export { bodyOf, lower, type OnnxGraph, readsOf } from "./lower.ts";
export * as ops from "./ops/index.ts";
export {
  type Draw,
  type OnnxBody,
  type OnnxNode,
  type Op,
  type Sample,
  type SampleInput,
  Tensor,
  type TensorType,
} from "./tensor.ts";
export type { Tree } from "./tree.ts";
export * as tree from "./tree.ts";
