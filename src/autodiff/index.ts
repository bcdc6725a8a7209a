export { type Dim, dim, product, quotient, type Shape, showShape } from "./dim.ts";
export { checkpoint, grad, type ValueAndGrad, valueAndGrad, vjp } from "./grad.ts";
export { lower, type OnnxGraph, type OnnxNode } from "./lower.ts";
export * as ops from "./ops/index.ts";
export { type Draw, type Op, type Sample, type SampleInput, Tensor, type TensorType } from "./tensor.ts";
export type { Tree } from "./tree.ts";
export * as tree from "./tree.ts";
