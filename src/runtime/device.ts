import { createHash } from "node:crypto";
import { availableParallelism } from "node:os";
import type { InferenceSession } from "onnxruntime-node";
import { dim, lower, type OnnxGraph, ops, type Tensor, type TensorType } from "../autodiff/index.ts";
import { BoosterError } from "../errors.ts";
import type { DType, HostTensor } from "../tensor/tensor.ts";
import { encodeModel } from "./encode.ts";
import { leaves, type Mapped, mapNested, type Nested, typesOf } from "./nested.ts";
import { type DeviceTensor, type DeviceTensors, fromOrt, NEXT, OUT, ort, STATE, toOrt } from "./ort.ts";
import { Program } from "./program.ts";
import type { Provider } from "./providers.ts";

export interface DeviceOptions {
  /** Execution provider of ONNX Runtime. Default `cpu`. */
  readonly provider?: Provider;
  /** Threads of one program. Default: all cores. */
  readonly threads?: number;
  /** Where ONNX Runtime writes one trace file a program (readable by Perfetto); absent: no profiling. */
  readonly profilePrefix?: string;
}

/** What a program that changes a state gives: results for the host, and the next values of state tensors. */
export interface StepResult<R> {
  readonly outputs: R;
  readonly state: Nested;
}

/**
 * One execution provider with its settings: compiles functions over symbolic tensors and holds their arguments.
 *
 * @example
 * const device = new Device();
 * const double = await device.compile({ x: { dtype: "float32", shape: [dim("n")] } }, ({ x }) => ({ y: ops.mul(x, 2) }));
 * await double.run({ x: tensor("float32", [3], [1, 2, 3]) }); // { y: [2, 4, 6] }
 */
export class Device {
  readonly provider: Provider;
  private readonly sessions = new Map<string, Promise<InferenceSession>>();
  private readonly copies = new Map<string, Promise<InferenceSession>>();

  constructor(readonly options: DeviceOptions = {}) {
    this.provider = options.provider ?? "cpu";
  }

  get onHost(): boolean {
    return this.provider === "cpu";
  }

  /**
   * Traces `fn` once with symbolic tensors, lowers the result and prepares it to run. Arguments and results are trees of
   * names: `{ base: typesOf(weights), batch: batchTypes("rows", 1) }` in, `{ loss, gradient: { ... } }` out.
   *
   * @param frozen numbers of arguments, under their paths, that are the same in all calls: they become a part of the program, in the layout
   * that its kernels read best
   * @throws {BoosterError} `SHAPE_MISMATCH` and others while tracing; `SESSION_FAILED` when the provider refuses.
   */
  compile<I extends Nested, R extends Nested>(
    inputs: I,
    fn: (inputs: Mapped<I, Tensor>) => R,
    frozen: Nested = {},
  ): Promise<Program<R>> {
    return this.compileStep(inputs, {}, (given) => ({ outputs: fn(given), state: {} }), frozen);
  }

  /** `compile` for a function that also reads, and replaces, what lives on the device from call to call. */
  async compileStep<I extends Nested, S extends Nested, R extends Nested>(
    inputs: I,
    state: S,
    fn: (inputs: Mapped<I, Tensor>, state: Mapped<S, Tensor>) => StepResult<R>,
    frozen: Nested = {},
  ): Promise<Program<R>> {
    const declared = new Map<string, TensorType>();
    const symbols = <T extends Nested>(types: T, prefix: string) =>
      mapNested(types, (type: TensorType, path) => {
        declared.set(prefix + path, type);
        return ops.input(prefix + path, type.dtype, type.shape);
      });
    const result = fn(symbols(inputs, ""), symbols(state, STATE));
    const named = (prefix: string, tensors: Nested) =>
      Object.fromEntries(leaves<Tensor>(tensors).map(([path, x]) => [prefix + path, x]));
    const graph = lower({ ...named(OUT, result.outputs), ...named(NEXT, result.state) }, this.provider, declared);
    const frozenHere = new Map(leaves<HostTensor>(frozen));
    const bytes = encodeModel(graph, frozenHere);
    const key = createHash("sha256").update(bytes).digest("hex");
    const { profilePrefix } = this.options;
    const trace = profilePrefix === undefined ? undefined : `${profilePrefix}-${key.slice(0, 8)}`;
    const known = this.sessions.get(key);
    const onDevice = [...graph.outputs.keys()].filter((name) => name.startsWith(NEXT));
    const session = known ?? this.createSession(graph, bytes, onDevice, trace);
    this.sessions.set(key, session);
    const isGiven = ([path]: readonly [string, unknown]) => !frozenHere.has(path);
    const asked = { ...graph, inputs: new Map([...graph.inputs].filter(isGiven)) };
    return new Program(this, await session, asked, typesOf<R>(result.outputs), trace);
  }

  protected async createSession(
    _graph: OnnxGraph,
    model: Uint8Array,
    onDevice: readonly string[],
    trace?: string,
  ): Promise<InferenceSession> {
    const { threads = availableParallelism() } = this.options;
    try {
      return await ort().InferenceSession.create(model, {
        executionProviders: [this.provider],
        intraOpNumThreads: threads,
        // Everything is optimised before: see passes.ts and encodeModel on the order of the nodes.
        graphOptimizationLevel: "disabled",
        enableMemPattern: false,
        logSeverityLevel: 3,
        ...(this.onHost
          ? {}
          : { preferredOutputLocation: Object.fromEntries(onDevice.map((name) => [name, "gpu-buffer" as const])) }),
        ...(trace === undefined ? {} : { enableProfiling: true, profileFilePrefix: trace }),
      });
    } catch (cause) {
      throw new BoosterError("SESSION_FAILED", `ONNX Runtime cannot run this program on ${this.provider}`, {
        found: cause instanceof Error ? cause.message : String(cause),
        hint: this.onHost ? "This is a defect of the program's graph." : "Try the cpu provider.",
        cause,
      });
    }
  }

  /** Puts a tensor where programs read it without copying. On the CPU provider the array itself is used. */
  async upload(host: HostTensor): Promise<DeviceTensor> {
    const value = toOrt(host);
    if (this.onHost) return value;
    const copy = await this.copy(host.dtype, host.shape.length, true);
    return (await copy.run({ x: value })).y as DeviceTensor;
  }

  /** Uploads named tensors. */
  async uploadAll(tensors: Iterable<readonly [string, HostTensor]>): Promise<DeviceTensors> {
    const uploaded: Record<string, DeviceTensor> = {};
    for (const [name, host] of tensors) uploaded[name] = await this.upload(host);
    return uploaded;
  }

  /** A copy of the tensor in host memory. */
  async download(value: DeviceTensor): Promise<HostTensor> {
    if (this.onHost) {
      const host = fromOrt(value);
      return { ...host, data: host.data.slice() } as HostTensor;
    }
    const copy = await this.copy(value.type as DType, value.dims.length, false);
    return fromOrt((await copy.run({ x: value })).y as DeviceTensor);
  }

  /** An identity program: the only way on and off a GPU in this binding. */
  private copy(dtype: DType, rank: number, up: boolean): Promise<InferenceSession> {
    const key = `${dtype} ${rank} ${up}`;
    const known = this.copies.get(key);
    if (known !== undefined) return known;
    const type: TensorType = { dtype, shape: Array.from({ length: rank }, (_, i) => dim(`axis${i}`)) };
    const identity: OnnxGraph = {
      nodes: [{ type: "Identity", domain: "", inputs: ["x"], outputs: ["y"], attributes: {} }],
      constants: new Map(),
      inputs: new Map([["x", type]]),
      outputs: new Map([["y", type]]),
      types: new Map(),
    };
    const created = this.createSession(identity, encodeModel(identity), up ? ["y"] : []);
    this.copies.set(key, created);
    return created;
  }
}
