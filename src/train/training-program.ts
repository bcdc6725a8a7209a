import { ops, type Tensor, type TensorType, type Tree, tree } from "../autodiff/index.ts";
import { BoosterError, type Watch } from "../errors.ts";
import { checkTuned, type Outcome, type TrainingMethod } from "../methods/method.ts";
import type { Adapter, Example, LossOptions, Model, NamedWeights } from "../models/index.ts";
import { clipByNorm, type MaskedOptimizer, masked, type Optimizer } from "../optim/index.ts";
import {
  type Device,
  type DeviceTensor,
  type DeviceTensors,
  leaves,
  mapNested,
  type Profile,
  type Program,
  State,
  typesOf,
} from "../runtime/index.ts";
import { type HostTensor, tensor, zeros } from "../tensor/tensor.ts";
import { atRates, type FlatLayout, flatLayout, flatten, flattenHost, unflatten, unflattenHost } from "./flatten.ts";
import { MethodState } from "./method-state.ts";
import { packStream, stepContext, streamTypes } from "./objective.ts";

export interface TrainingOptions extends Pick<LossOptions, "chunks" | "recompute" | "blocks"> {
  readonly device: Device;
  readonly model: Model;
  /** Weights that stay as they are, on the device; shared with every other program. */
  readonly frozen: DeviceTensors;
  /** What is trained: LoRA factors, or weights themselves (then they replace the frozen ones of the same name). */
  readonly adapter: Adapter<NamedWeights>;
  readonly method: TrainingMethod;
  readonly optimizer: Optimizer;
  /** Largest global gradient norm; larger gradients are scaled down. */
  readonly maxGradNorm: number;
  /** Parts in which a batch is computed, one after the other. Default 1. */
  readonly microBatches?: number;
  /** Rows of each stream, for methods that keep something about each row. */
  readonly rows?: Readonly<Record<string, number>>;
  /** Token at padding, for methods that look at it. Default 0. */
  readonly padId?: number;
}

const WEIGHTS = "weights";

type Batches = Readonly<Record<string, readonly (readonly Example[])[]>>;

/** One run of one of the method's programs. */
export interface ProgramCall {
  /** Default `step`. */
  readonly program?: string;
  /** Micro-batches of the streams that it reads. */
  readonly batches: Batches;
  readonly learningRate: number;
  /** Values of the method's own inputs. */
  readonly inputs?: Readonly<Record<string, HostTensor>>;
}

/** A method's programs (a whole optimiser step is one: method, clipping, update), with the state they carry along. */
export class TrainingProgram {
  private readonly programs = new Map<string, Program>();

  private constructor(
    readonly options: TrainingOptions,
    private readonly layout: FlatLayout,
    private readonly methodState: MethodState,
    private readonly optimizer: MaskedOptimizer,
    readonly state: State,
  ) {}

  static async compile(options: TrainingOptions): Promise<TrainingProgram> {
    const { device, adapter, method, model, rows = {} } = options;
    const trainable = adapter.tensors;
    checkTuned(method, [...trainable.keys()].every((name) => model.weights.has(name)) ? "full" : "lora");
    const layout = flatLayout(new Map([...trainable].map(([name, { shape }]) => [name, shape])));
    const methodState = new MethodState(method, { model, rows }, layout);
    const weights = flattenHost(trainable, layout);
    // Where the method leaves weights out of a step, the steps of each weight are counted apart.
    const optimizer: MaskedOptimizer = method.masked ? masked(options.optimizer) : options.optimizer;
    const fresh = mapNested(optimizer.state(layout.size), ({ dtype, shape }: TensorType) =>
      zeros(dtype as "float32", shape as number[]),
    );
    const initial = { [WEIGHTS]: weights, ...fresh, ...methodState.initial(weights) };
    const state = new State(await device.uploadAll(leaves<HostTensor>(initial)));
    const programs = new TrainingProgram(options, layout, methodState, optimizer, state);
    await programs.program("step");
    return programs;
  }

  /** A program by name, compiled when it is first asked for. */
  private async program(name: string): Promise<Program> {
    const program = this.programs.get(name) ?? (await this.compileProgram(name));
    this.programs.set(name, program);
    return program;
  }

  private compileProgram(name: string): Promise<Program> {
    const { device, model, frozen, adapter, method, microBatches, rows = {} } = this.options;
    const { chunks, recompute = false, blocks = recompute } = this.options;
    const inputs = {
      learningRate: { dtype: "float32", shape: [] } as TensorType,
      inputs: method.schedule.inputs({ model, rows }),
      base: typesOf(Object.fromEntries(Object.entries(frozen).filter(([weight]) => !adapter.tensors.has(weight)))),
      streams: Object.fromEntries(method.streams.map((stream) => [stream, streamTypes(stream, chunks, microBatches)])),
    };
    const state = {
      [WEIGHTS]: { dtype: "float32", shape: [this.layout.size] } as TensorType,
      ...this.optimizer.state(this.layout.size),
      ...this.methodState.types,
    };
    const { scale } = adapter;
    return device.compileStep(inputs, state, ({ learningRate, ...given }, current) => {
      const outcome = this.build(name)({
        ...stepContext({ model, base: given.base, scale, streams: given.streams, loss: { chunks, recompute, blocks } }),
        weights: unflatten(current.weights, this.layout),
        inputs: given.inputs,
        learningRate,
        state: this.methodState.read(current),
      });
      return this.update(outcome, Object.fromEntries(leaves<Tensor>(current)), learningRate);
    });
  }

  /** The method's program of that name. */
  private build(name: string) {
    const { name: method, programs } = this.options.method;
    const found = programs[name];
    if (found !== undefined) return found;
    throw new BoosterError("INTERNAL", `${method} plans a program that it does not have`, {
      expected: Object.keys(programs).join(", "),
      found: name,
    });
  }

  /** Clipping, the optimiser, and no change at all where something is not finite. */
  private update(outcome: Outcome, state: Tree, learningRate: Tensor) {
    const { layout, options } = this;
    const outputs: Record<string, Tensor> = { ...outcome.metrics };
    const next = Object.fromEntries(leaves<Tensor>(this.methodState.next(outcome)));
    const start = outcome.weights === undefined ? state[WEIGHTS] : flatten(outcome.weights, layout);
    const weights = start as Tensor;
    if (outcome.restart) {
      for (const name of Object.keys(this.optimizer.state(layout.size))) {
        next[name] = ops.mul(state[name] as Tensor, 0);
      }
    }
    if (outcome.active !== undefined && !options.method.masked) {
      throw new BoosterError("INTERNAL", `the method ${options.method.name} leaves weights out without being masked`);
    }
    if (outcome.gradient !== undefined) {
      const gradient = flatten(outcome.gradient, layout);
      const gradientNorm = ops.sqrt(ops.sum(ops.mul(gradient, gradient)));
      const updated = this.optimizer.update({
        weights,
        gradient: clipByNorm(gradient, gradientNorm, options.maxGradNorm),
        state: { ...state, ...next },
        learningRate,
        active: outcome.active && flatten(spread(outcome.active, outcome.gradient), layout),
      });
      const moved = outcome.rates ? atRates(weights, updated.weights, outcome.rates, layout) : updated.weights;
      Object.assign(next, updated.state, { [WEIGHTS]: moved });
      outputs.gradientNorm = gradientNorm;
    } else if (outcome.weights !== undefined) {
      next[WEIGHTS] = weights;
    }
    const moved = next[WEIGHTS];
    if (moved !== undefined) {
      const change = ops.sub(moved, outcome.gradient === undefined ? (state[WEIGHTS] as Tensor) : weights);
      outputs.updateNorm = ops.sqrt(ops.sum(ops.mul(change, change)));
    }
    const shown = Object.keys(outputs).length > 0 ? Object.values(outputs) : Object.values(next).map((x) => ops.sum(x));
    const finite = allFinite([...shown, ...(moved === undefined ? [] : [ops.sum(moved)])]);
    for (const name of Object.keys(next)) {
      next[name] = ops.where(finite, next[name] as Tensor, state[name] as Tensor);
    }
    if (outputs.updateNorm !== undefined) outputs.updateNorm = ops.where(finite, outputs.updateNorm, 0);
    outputs.applied = ops.cast(finite, "float32");
    return { outputs, state: next };
  }

  /**
   * One optimiser step on one batch a stream. A non-finite loss, gradient, norm or update leaves the state as it was and
   * gives `applied: 0`.
   */
  step(batches: Batches, learningRate: number): Promise<Readonly<Record<string, number>>> {
    return this.run({ batches, learningRate });
  }

  /** Runs one of the method's programs; streams and inputs that it does not read are left aside. */
  async run({
    program: name = "step",
    batches,
    learningRate,
    inputs = {},
  }: ProgramCall): Promise<Readonly<Record<string, number>>> {
    const program = await this.program(name);
    const feeds = await this.feeds(name, { batches, learningRate, inputs });
    const outputs = await program.run(feeds, this.state);
    return Object.fromEntries(Object.entries(outputs).map(([name, { data }]) => [name, Number(data[0])]));
  }

  /** What the results of a call take at most; bytes. */
  async peakBytes({ program: name = "step", batches, learningRate, inputs = {} }: ProgramCall): Promise<number> {
    const program = await this.program(name);
    return program.peakBytes(await this.feeds(name, { batches, learningRate, inputs }));
  }

  private async feeds(name: string, { batches, learningRate, inputs }: Required<Omit<ProgramCall, "program">>) {
    const { microBatches = 1, chunks, frozen, padId = 0 } = this.options;
    const program = await this.program(name);
    const packed = (await this.streamsOf(name)).map((stream) => {
      const parts = batches[stream];
      if (parts?.length === microBatches) {
        const isRead = (form: string) => program.reads(`streams ${stream} ${form}`);
        return [stream, packStream(parts, chunks, padId, isRead)] as const;
      }
      throw new BoosterError("ARGUMENT_MISMATCH", `the stream ${stream} comes in the wrong number of micro-batches`, {
        expected: String(microBatches),
        found: String(parts?.length),
      });
    });
    return {
      learningRate: tensor("float32", [], [learningRate]),
      inputs,
      base: frozen,
      streams: Object.fromEntries(packed),
    };
  }

  /** Streams that a program really reads. */
  async streamsOf(name: string): Promise<readonly string[]> {
    const program = await this.program(name);
    return this.options.method.streams.filter((stream) => program.reads(`streams ${stream}`));
  }

  /** Lets the method measure what it needs before the first step, once. */
  async prepare(
    rows: Readonly<Record<string, readonly Example[]>>,
    seed: number,
    watch: Watch = () => undefined,
  ): Promise<void> {
    const { device, model, frozen, adapter, method } = this.options;
    const prepared = (await method.prepare?.({ device, model, frozen, adapter, rows, seed, watch })) ?? {};
    const weights = prepared.weights && flattenHost(prepared.weights, this.layout);
    const changed = { [WEIGHTS]: weights, ...this.methodState.prepared(prepared) };
    this.state.replace(await device.uploadAll(leaves<HostTensor>(changed)));
  }

  /** Everything that lives across steps, by name. */
  save(): Promise<Map<string, HostTensor>> {
    return this.download(Object.keys(this.state.current));
  }

  private async download(names: readonly string[]): Promise<Map<string, HostTensor>> {
    const saved = new Map<string, HostTensor>();
    for (const name of names) {
      saved.set(name, await this.options.device.download(this.state.current[name] as DeviceTensor));
    }
    return saved;
  }

  async load(saved: ReadonlyMap<string, HostTensor>): Promise<void> {
    this.state.replace(await this.options.device.uploadAll(saved));
  }

  /** The trained tensors as they are now, in the form in which the method publishes them. */
  async trained(): Promise<ReadonlyMap<string, HostTensor<"float32">>> {
    const { publish } = this.options.method;
    const { published } = this.optimizer;
    // Moments and copies are as large as the weights: what is not asked for stays where it is.
    const names = [...(published?.reads ?? []), ...(publish === undefined ? [] : this.methodState.names())];
    const saved = await this.download([WEIGHTS, ...names]);
    const last = saved.get(WEIGHTS) as HostTensor<"float32">;
    const state = Object.fromEntries(
      (published?.reads ?? []).map((name) => [name, (saved.get(name) as HostTensor<"float32">).data]),
    );
    const flat = published === undefined ? last : tensor("float32", last.shape, published.of(last.data, state));
    const weights = unflattenHost(flat, this.layout);
    return publish === undefined ? weights : publish(this.methodState.finished(weights, saved));
  }

  /** Ends profiling of a step and reads what was recorded. */
  profile(): Profile {
    return (this.programs.get("step") as Program).profile();
  }
}

/** Each mask in the shape of its weight. */
const spread = (masks: Tree, like: Tree): Tree =>
  tree.mapTree(like, (x, name) => ops.expand(masks[name] ?? ops.constant(1), x.shape));

/** True when no value is NaN or infinite: `0 x` is 0 for finite x alone. */
function allFinite(values: readonly Tensor[]): Tensor {
  const sum = values.map((x) => ops.mul(x, 0)).reduce((a, b) => ops.add(a, b));
  return ops.equal(sum, ops.constant(0, sum.dtype));
}
