import { createRequire } from "node:module";
import type * as Ort from "onnxruntime-node";
import type { HostTensor } from "../tensor/tensor.ts";

const require = createRequire(import.meta.url);

/** ONNX Runtime, loaded when something is first computed: what only explains itself starts without it. */
export const ort = (): typeof Ort => require("onnxruntime-node");

/** A tensor where programs compute: host memory on the CPU provider, a buffer of the GPU otherwise. */
export type DeviceTensor = Ort.Tensor;
export type DeviceTensors = Readonly<Record<string, DeviceTensor>>;

/** Prefixes of results, and of state arguments and results, inside a graph. */
export const OUT = "out.";
export const STATE = "state.";
export const NEXT = "next.";

/** Wraps host memory for ONNX Runtime, without a copy. */
export const toOrt = ({ dtype, data, shape }: HostTensor): DeviceTensor =>
  new (ort().Tensor)(dtype, data as Float32Array, shape);

/** The host tensor that an ONNX Runtime tensor in host memory holds, without a copy. */
export const fromOrt = (value: DeviceTensor): HostTensor =>
  ({ dtype: value.type, shape: value.dims, data: value.data }) as HostTensor;
