import type { InferenceSession } from "onnxruntime-node";
import { type OnnxGraph, showShape, type TensorType, type Tree } from "../autodiff/index.ts";
import { BoosterError } from "../errors.ts";
import { type HostTensor, zeros } from "../tensor/tensor.ts";
import { peakBytes, sizesOf } from "./cost.ts";
import type { Device } from "./device.ts";
import { leaves, type Mapped, mapNested, type Nested } from "./nested.ts";
import { type DeviceTensor, type DeviceTensors, fromOrt, NEXT, OUT, STATE, toOrt } from "./ort.ts";
import { type Profile, readProfile } from "./profile.ts";

/** Arguments of a call, in the form of the types that the program was compiled with. */
export type Feeds = Nested;

/**
 * Tensors that live on the device from call to call, double-buffered: a program reads `current` and writes the other
 * half, so a call that fails leaves `current` untouched.
 */
export class State {
  private spare: DeviceTensors | undefined;
  /** What `hold` keeps from being written to. */
  private held: DeviceTensors | undefined;

  constructor(public current: DeviceTensors) {}

  /** Buffers for the next values; host memory only, GPU buffers are made by the program. */
  writable(): DeviceTensors {
    this.spare ??= Object.fromEntries(
      Object.entries(this.current).map(([name, { type, dims }]) => [name, toOrt(zeros(type as "float32", dims))]),
    );
    return this.spare;
  }

  /** Makes the next values current. */
  replace(next: DeviceTensors): void {
    const previous = this.current;
    this.current = { ...previous, ...next };
    for (const name of Object.keys(next)) {
      // Only what was replaced: a buffer that is still current must not be written to.
      if (this.held !== undefined && this.held[name] === previous[name]) this.spare = without(this.spare, name);
      else this.retire(name, previous[name]);
    }
  }

  /** Keeps the current values until `release`, so that several calls can be taken back together. Costs no copy. */
  hold(): void {
    this.held = this.current;
  }

  /** Ends `hold`; `restore` puts back what it kept. */
  release({ restore }: { readonly restore: boolean }): void {
    const { held = {}, current } = this;
    this.held = undefined;
    if (restore) this.current = held;
    for (const [name, value] of Object.entries(restore ? current : held)) {
      if (value !== this.current[name]) this.retire(name, value);
    }
  }

  /** A buffer that is no longer current: the next one to write to in host memory, freed on a GPU. */
  private retire(name: string, value: DeviceTensor | undefined): void {
    if (this.spare === undefined) value?.dispose();
    else if (value !== undefined) this.spare = { ...this.spare, [name]: value };
  }
}

const without = (tensors: DeviceTensors | undefined, name: string): DeviceTensors | undefined =>
  tensors && Object.fromEntries(Object.entries(tensors).filter(([other]) => other !== name));

/** A compiled function. One program serves every batch: symbolic dimensions are bound at each call. */
export class Program<R = Tree> {
  constructor(
    private readonly device: Device,
    private readonly session: InferenceSession,
    readonly graph: OnnxGraph,
    private readonly results: Mapped<R, TensorType>,
    private readonly trace?: string,
  ) {}

  /**
   * Runs once. Arguments that the program does not read are ignored, so one set of weights serves all programs.
   * The state's next values become current only when the whole call has succeeded.
   *
   * @throws {BoosterError} `MISSING_ARGUMENT`, `ARGUMENT_MISMATCH` (name, expected and found shape), `RUN_FAILED`.
   */
  async run(feeds: Feeds, state?: State): Promise<Mapped<R, HostTensor>> {
    const given = new Map(leaves<HostTensor | DeviceTensor>(feeds));
    const symbols = new Map<string, number>();
    const args: Record<string, DeviceTensor> = {};
    for (const [name, type] of this.graph.inputs) {
      const value = name.startsWith(STATE) ? state?.current[name.slice(STATE.length)] : given.get(name);
      if (value === undefined) {
        throw new BoosterError("MISSING_ARGUMENT", "a program argument is missing", { expected: name });
      }
      args[name] = "dims" in value ? value : toOrt(value);
      check(name, type, args[name], symbols);
    }
    const outputs = [...this.graph.outputs.keys()];
    const stateOutputs = outputs.filter((name) => name.startsWith(NEXT));
    const buffers = this.device.onHost && stateOutputs.length > 0 ? state?.writable() : undefined;
    const fetches = Object.fromEntries(
      outputs.map((name) => [name, (name.startsWith(NEXT) && buffers?.[name.slice(NEXT.length)]) || null]),
    );
    let results: InferenceSession.OnnxValueMapType;
    try {
      results = await this.session.run(args, fetches);
    } catch (cause) {
      throw new BoosterError("RUN_FAILED", "ONNX Runtime stopped inside a program", {
        found: cause instanceof Error ? cause.message : String(cause),
        cause,
      });
    }
    state?.replace(
      Object.fromEntries(stateOutputs.map((name) => [name.slice(NEXT.length), results[name] as DeviceTensor])),
    );
    const host = (_: TensorType, path: string) => fromOrt(results[OUT + path] as DeviceTensor);
    return mapNested(this.results as Nested, host) as Mapped<R, HostTensor>;
  }

  /** What its results take at most in a call, the arguments left out; bytes. */
  peakBytes(feeds: Feeds): number {
    return peakBytes(this.graph, sizesOf(this.graph, feeds));
  }

  /** Whether anything under a path, such as `streams harmful`, is read. */
  reads(path: string): boolean {
    return [...this.graph.inputs.keys()].some((name) => `${name} `.startsWith(`${path} `));
  }

  /**
   * Ends profiling and reads what was recorded, per operator; a program is profiled once.
   *
   * @throws {BoosterError} `PROFILE_MISSING` where the device was opened without `profilePrefix`.
   */
  profile(): Profile {
    if (this.trace === undefined) {
      throw new BoosterError("PROFILE_MISSING", "this program was not profiled", {
        hint: "Open the device with profilePrefix.",
      });
    }
    this.session.endProfiling();
    return readProfile(this.trace);
  }
}

function check(name: string, type: TensorType, value: DeviceTensor, symbols: Map<string, number>): void {
  const fits =
    value.type === type.dtype &&
    value.dims.length === type.shape.length &&
    type.shape.every((size, axis) => {
      const found = value.dims[axis] as number;
      if (typeof size === "number") return found === size;
      if (size.symbols.length > 1 || size.coefficient !== 1) return true;
      const symbol = size.symbols[0] as string;
      const bound = symbols.get(symbol) ?? found;
      symbols.set(symbol, bound);
      return bound === found;
    });
  if (fits) return;
  const bound = [...symbols].map(([symbol, size]) => `${symbol}=${size}`).join(", ");
  throw new BoosterError("ARGUMENT_MISMATCH", `argument ${name} does not fit the program`, {
    expected: `${type.dtype} ${showShape(type.shape)}${bound === "" ? "" : ` with ${bound}`}`,
    found: `${value.type} [${value.dims.join(", ")}]`,
  });
}
