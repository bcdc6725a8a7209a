import { Tensor as OrtTensor } from "onnxruntime-node";
import type { HostTensor } from "../tensor/tensor.ts";

/** A tensor where programs compute: host memory on the CPU provider, a buffer of the GPU otherwise. */
export type DeviceTensor = OrtTensor;
export type DeviceTensors = Readonly<Record<string, DeviceTensor>>;

/** Prefixes of state arguments and results inside a graph. */
export const STATE = "state.";
export const NEXT = "next.";

/** Wraps host memory for ONNX Runtime, without a copy. */
export const toOrt = ({ dtype, data, shape }: HostTensor): OrtTensor =>
  new OrtTensor(dtype, data as Float32Array, shape);

/** The host tensor that an ONNX Runtime tensor in host memory holds, without a copy. */
export const fromOrt = (value: OrtTensor): HostTensor =>
  ({ dtype: value.type, shape: value.dims, data: value.data }) as HostTensor;
