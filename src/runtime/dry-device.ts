import type { InferenceSession } from "onnxruntime-node";
import type { OnnxGraph, TensorType } from "../autodiff/index.ts";
import { type DType, type HostTensor, sizeOf, tensor } from "../tensor/tensor.ts";
import { type Machine, numberOf, peakBytes, type Sizes, secondsOf, sizesOf } from "./cost.ts";
import { Device } from "./device.ts";
import { type DeviceTensor, NEXT } from "./ort.ts";

/** What the calls of one program came to. */
export interface Tally {
  readonly graph: OnnxGraph;
  /** Of the call that took the most. */
  peakBytes: number;
  seconds: number;
  calls: number;
}

/**
 * A device that computes nothing and says what computing would cost: programs are traced and lowered as ever, and each call of one is priced
 * by its graph and the sizes of what it is given. Results are ones.
 *
 * @example
 * const device = new DryDevice(await machineOf(new Device()));
 * await program.run(feeds); // of a program that was compiled by this device
 * device.tallies[0].peakBytes;
 */
export class DryDevice extends Device {
  readonly tallies: Tally[] = [];

  constructor(private readonly machine: Machine) {
    super();
  }

  protected override async createSession(graph: OnnxGraph): Promise<InferenceSession> {
    const tally: Tally = { graph, peakBytes: 0, seconds: 0, calls: 0 };
    this.tallies.push(tally);
    const known = new Map<string, readonly [bytes: number, seconds: number]>();
    const run = async (args: Readonly<Record<string, DeviceTensor>>) => {
      const sizes = sizesOf(graph, args);
      const key = JSON.stringify([...sizes]);
      const [bytes, seconds] = known.get(key) ?? [peakBytes(graph, sizes), secondsOf(graph, sizes, this.machine)];
      known.set(key, [bytes, seconds]);
      tally.peakBytes = Math.max(tally.peakBytes, bytes);
      tally.seconds += seconds;
      tally.calls++;
      return Object.fromEntries([...graph.outputs].map(([name, type]) => [name, resultOf(name, type, sizes)]));
    };
    return { run } as unknown as InferenceSession;
  }

  override async upload({ dtype, shape }: Pick<HostTensor, "dtype" | "shape">): Promise<DeviceTensor> {
    return blank({ dtype, shape });
  }

  override async download({ type, dims }: DeviceTensor): Promise<HostTensor> {
    return ones(type as DType, dims);
  }
}

const ones = (dtype: DType, shape: readonly number[]): HostTensor =>
  tensor(dtype, shape, new Float32Array(sizeOf(shape)).fill(1));

/** A tensor of which nothing but its type is known. */
export const blank = ({ dtype, shape }: Pick<HostTensor, "dtype" | "shape">): DeviceTensor =>
  ({ type: dtype, dims: shape, size: sizeOf(shape), dispose() {} }) as unknown as DeviceTensor;

function resultOf(name: string, { dtype, shape }: TensorType, sizes: Sizes): DeviceTensor {
  const known = shape.map((size) => numberOf(size, sizes));
  const empty = blank({ dtype, shape: known });
  // What stays on the device is never looked at.
  return name.startsWith(NEXT) ? empty : Object.assign(empty, { data: ones(dtype, known).data });
}
