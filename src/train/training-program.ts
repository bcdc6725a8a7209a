import { ops, type Tensor, type TensorType } from "../autodiff/index.ts";
import { BoosterError } from "../errors.ts";
import type { ConfiguredMethod } from "../methods/registry.ts";
import { batchSpec, type Example, type LossOptions, type Model, packBatch } from "../models/index.ts";
import { clipByNorm, type Optimizer } from "../optim/index.ts";
import { type Device, type DeviceTensors, type Profile, type Program, State } from "../runtime/index.ts";
import { type HostTensor, tensor, zeros } from "../tensor/tensor.ts";
import { type FlatLayout, flatLayout, flatten, flattenHost, unflatten, unflattenHost } from "./flatten.ts";
import { lossOfStreams, microBatchName } from "./objective.ts";

export interface TrainingOptions extends LossOptions {
  readonly device: Device;
  readonly model: Model;
  /** Weights that stay as they are, on the device; shared with every other program. */
  readonly frozen: DeviceTensors;
  /** What is trained: LoRA factors, or weights themselves (then they replace the frozen ones of the same name). */
  readonly trainable: ReadonlyMap<string, HostTensor<"float32">>;
  readonly method: ConfiguredMethod;
  readonly optimizer: Optimizer;
  /** Largest global gradient norm; larger gradients are scaled down. */
  readonly maxGradNorm: number;
  /** Parts in which a batch is computed, one after the other. Default 1. */
  readonly microBatches?: number;
}

const WEIGHTS = "weights";
const LEARNING_RATE = "learningRate";

/** A whole optimiser step (method, clipping, update) compiled into one program, with the state it carries along. */
export class TrainingProgram {
  readonly state: State;
  private readonly options: TrainingOptions;
  private readonly layout: FlatLayout;
  private readonly program: Program;

  private constructor(options: TrainingOptions, layout: FlatLayout, program: Program, state: State) {
    this.options = options;
    this.layout = layout;
    this.program = program;
    this.state = state;
  }

  static async compile(options: TrainingOptions): Promise<TrainingProgram> {
    const { device, model, frozen, trainable, method, optimizer, microBatches = 1 } = options;
    const layout = flatLayout(new Map([...trainable].map(([name, { shape }]) => [name, shape])));
    const stateTypes: Record<string, TensorType> = {
      [WEIGHTS]: { dtype: "float32", shape: [layout.size] },
      ...optimizer.state(layout.size),
    };
    const batches = method.streams.flatMap((stream) =>
      Array.from({ length: microBatches }, (_, i) => batchSpec(microBatchName(stream, i), options.chunks)),
    );
    const frozenTypes = Object.entries(frozen)
      .filter(([name]) => !trainable.has(name))
      .map(([name, { dims }]): [string, TensorType] => [name, { dtype: "float32", shape: dims }]);
    const program = await device.compile(
      {
        inputs: Object.assign(
          { [LEARNING_RATE]: { dtype: "float32", shape: [] } },
          Object.fromEntries(frozenTypes),
          ...batches,
        ),
        state: stateTypes,
      },
      ({ inputs, state }) => {
        const base = Object.fromEntries(frozenTypes.map(([name]) => [name, inputs[name] as Tensor]));
        const loss = lossOfStreams(model, base, inputs, microBatches, options);
        const vector = state[WEIGHTS] as Tensor;
        const { gradient, metrics } = method.step({ weights: unflatten(vector, layout), loss });
        const flat = flatten(gradient, layout);
        const gradientNorm = ops.sqrt(ops.sum(ops.mul(flat, flat)));
        const updated = optimizer.update({
          weights: vector,
          gradient: clipByNorm(flat, gradientNorm, options.maxGradNorm),
          state,
          learningRate: inputs[LEARNING_RATE] as Tensor,
        });
        const change = ops.sub(updated.weights, vector);
        const updateNorm = ops.sqrt(ops.sum(ops.mul(change, change)));
        const outputs: Record<string, Tensor> = { ...metrics, gradientNorm, updateNorm };
        const finite = allFinite(Object.values(outputs));
        const next: Record<string, Tensor> = { ...updated.state, [WEIGHTS]: updated.weights };
        for (const name of Object.keys(next)) {
          next[name] = ops.where(finite, next[name] as Tensor, state[name] as Tensor);
        }
        outputs.updateNorm = ops.where(finite, updateNorm, 0);
        outputs.applied = ops.cast(finite, "float32");
        return { outputs, state: next };
      },
    );
    const initial = Object.entries(stateTypes).map(([name, { shape }]): [string, HostTensor] => [
      name,
      name === WEIGHTS ? flattenHost(trainable, layout) : zeros("float32", shape as number[]),
    ]);
    return new TrainingProgram(options, layout, program, new State(await device.uploadAll(initial)));
  }

  /**
   * One optimiser step on one batch a stream. A non-finite loss, gradient, norm or update leaves the state as it was and
   * gives `applied: 0`.
   */
  async step(
    batches: Readonly<Record<string, readonly (readonly Example[])[]>>,
    learningRate: number,
  ): Promise<Readonly<Record<string, number>>> {
    const { method, microBatches = 1, chunks, frozen } = this.options;
    const feeds: Record<string, HostTensor> = { [LEARNING_RATE]: tensor("float32", [], [learningRate]) };
    for (const stream of method.streams) {
      const parts = batches[stream];
      if (parts?.length !== microBatches) {
        throw new BoosterError("ARGUMENT_MISMATCH", `the stream ${stream} comes in the wrong number of micro-batches`, {
          expected: String(microBatches),
          found: String(parts?.length),
        });
      }
      Object.assign(feeds, packStream(stream, parts, chunks));
    }
    const outputs = await this.program.run({ ...frozen, ...feeds }, this.state);
    return Object.fromEntries(Object.entries(outputs).map(([name, { data }]) => [name, Number(data[0])]));
  }

  /** Everything that lives across steps, by name. */
  async save(): Promise<Map<string, HostTensor>> {
    const saved = new Map<string, HostTensor>();
    for (const [name, value] of Object.entries(this.state.current)) {
      saved.set(name, await this.options.device.download(value));
    }
    return saved;
  }

  async load(saved: ReadonlyMap<string, HostTensor>): Promise<void> {
    this.state.replace(await this.options.device.uploadAll(saved));
  }

  /** The trained tensors as they are now. */
  async trained(): Promise<Map<string, HostTensor<"float32">>> {
    const vector = await this.options.device.download(this.state.current[WEIGHTS] as DeviceTensors[string]);
    return unflattenHost(vector, this.layout);
  }

  /** Ends profiling and reads what was recorded. */
  profile(): Profile {
    return this.program.profile();
  }
}

/** Micro-batches of one stream as program arguments; each is divided by the labelled tokens of all of them. */
export function packStream(
  stream: string,
  parts: readonly (readonly Example[])[],
  chunks: number,
): Record<string, HostTensor> {
  const totalLabelled = parts.flat().reduce((sum, { labels }) => sum + countLabelled(labels), 0);
  return Object.assign(
    {},
    ...parts.map((part, i) => packBatch(microBatchName(stream, i), part, { chunks, totalLabelled })),
  );
}

/** Labels after the first token that are learned: each is predicted from the token before it. */
function countLabelled(labels: ArrayLike<number>): number {
  let count = 0;
  for (let i = 1; i < labels.length; i++) if (labels[i] !== -100) count++;
  return count;
}

/** True when no value is NaN or infinite: `0 x` is 0 for finite x alone. */
function allFinite(values: readonly Tensor[]): Tensor {
  const sum = values.map((x) => ops.mul(x, 0)).reduce((a, b) => ops.add(a, b));
  return ops.equal(sum, ops.constant(0, sum.dtype));
}
