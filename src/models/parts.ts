import type { Module } from "./modules.ts";

/** The modules of a model, as they are declared one after the other. */
export class Parts {
  readonly weights = new Map<string, readonly number[]>();
  readonly modules = new Map<string, Module>();
  readonly linears = new Map<string, readonly [number, number]>();

  /** A module with a weight, and a bias of the length of the first axis where it has one. */
  add(name: string, shape: readonly number[], is: Module, bias = false): string {
    this.modules.set(name, is);
    this.weights.set(`${name}.weight`, shape);
    if (bias) this.weights.set(`${name}.bias`, shape.slice(0, 1));
    return name;
  }

  /** A linear layer, which may carry LoRA factors: `[out, in]`. */
  linear(name: string, shape: readonly [number, number], is: Module, bias: boolean): string {
    this.linears.set(name, shape);
    return this.add(name, shape, is, bias);
  }
}
