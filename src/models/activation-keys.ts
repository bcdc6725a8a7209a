import { z } from "zod";
import { type Activation, gelu, geluTanh, relu, silu } from "../nn/index.ts";

/** Activations by their names in config.json. */
export const ACTIVATIONS = {
  gelu,
  gelu_fast: geluTanh,
  gelu_new: geluTanh,
  gelu_pytorch_tanh: geluTanh,
  relu,
  silu,
  swish: silu,
} as const satisfies Readonly<Record<string, Activation>>;

export type ActivationName = keyof typeof ACTIVATIONS;

/** One of these names. */
export const activationName = z.literal(Object.keys(ACTIVATIONS) as ActivationName[]);
