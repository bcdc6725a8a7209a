import type { DeviceTensors } from "../runtime/index.ts";
import { type HostTensor, tensor } from "../tensor/tensor.ts";
import type { Programs, Wanted } from "./programs.ts";
import type { Row } from "./row.ts";
import type { Stacks } from "./slots.ts";

/** Weights, LoRA factors where programs take them, and those of slots, on the device. */
export interface Arguments {
  readonly base: DeviceTensors;
  readonly tensors: DeviceTensors;
  readonly stacks: Stacks<HostTensor>;
}

/** Programs, and what each of their calls is given. */
export interface Using {
  readonly programs: Programs;
  readonly args: Arguments;
}

/** What a call has computed for a row: the likeliest token, or its logits; `finite` is 0 where all of it is numbers. */
export interface Found {
  readonly next: number | Float32Array;
  readonly finite: number;
}

export const int32 = (values: readonly number[]) => tensor("int32", [values.length], values);

/** What the most demanding of some rows needs. */
export const wantedBy = (rows: readonly Row[]): Wanted => (rows.some((row) => row.needsLogits) ? "logits" : "tokens");

/** The part of a call's results that is a row's, by its place. */
export function foundOf(next: HostTensor, finite: HostTensor): (r: number) => Found {
  const width = next.shape[1];
  return (r) => ({
    next: width === undefined ? Number(next.data[r]) : (next.data as Float32Array).subarray(r * width, (r + 1) * width),
    finite: Number(finite.data[r]),
  });
}
