import type { Tensor, Tree } from "../../src/autodiff/index.ts";
import { choose } from "../../src/choice.ts";
import type { StepContext, TrainingMethod } from "../../src/methods/method.ts";
import { METHODS } from "../../src/methods/registry.ts";
import type { Example, Model } from "../../src/models/index.ts";
import type { Device } from "../../src/runtime/index.ts";
import type { HostTensor } from "../../src/tensor/tensor.ts";
import { stepContext } from "../../src/train/objective.ts";
import {
  compile,
  type HostTensors,
  loraShapes,
  pick,
  randomTensors,
  streamFeeds,
  streamSpec,
  streamsOf,
} from "./tiny-model.ts";

const LOSS = { chunks: 2 };
const GRADIENT = "d ";
const MEMORY = "memory ";

export interface Situation {
  readonly rows: Readonly<Record<string, readonly Example[]>>;
  readonly dtype?: "float32" | "float64";
  /** Shapes of what is trained; LoRA factors on queries, keys and values by default. */
  readonly trained?: ReadonlyMap<string, readonly number[]>;
  readonly memory?: HostTensors;
  readonly inputs?: HostTensors;
  readonly program?: string;
  readonly padId?: number;
  /** Looks at, or changes, what the method is given. */
  readonly context?: (context: StepContext) => StepContext;
  /** Further outputs, which `context` fills in. */
  readonly seen?: Readonly<Record<string, Tensor>>;
}

/** One program of a method, compiled, with everything that it reads: what it hands out, by the names of the outputs. */
export async function methodProgram(device: Device, model: Model, name: string, options: object, given: Situation) {
  const { rows, dtype = "float32", trained = loraShapes(model), memory = {}, inputs: own = {}, padId = 0 } = given;
  const method = choose(METHODS, { name, ...options });
  const facts = { model, rows: {} };
  const weights = randomTensors(model.weights, dtype);
  const streams = method.streams.map((stream) => [stream, rows[stream] as readonly Example[]] as const);
  const feeds: HostTensors = Object.assign(
    { ...weights, ...randomTensors(trained, dtype, 2), ...own },
    Object.fromEntries(Object.entries(memory).map(([key, value]) => [MEMORY + key, value])),
    streamFeeds(Object.fromEntries(streams.map(([stream, examples]) => [stream, [examples]])), LOSS.chunks, padId),
  );
  const spec = { ...method.schedule.inputs(facts), ...streamSpec(method.streams, LOSS.chunks) };
  const build = (inputs: Tree) => {
    const context: StepContext = {
      ...stepContext({
        model,
        base: pick(inputs, model.weights.keys()),
        scale: 0.5,
        streams: streamsOf(inputs),
        loss: LOSS,
      }),
      weights: pick(inputs, trained.keys()),
      state: stateOf(method, (key) => inputs[MEMORY + key]),
      inputs: pick(inputs, Object.keys(method.schedule.inputs(facts))),
    };
    const build = method.programs[given.program ?? "step"] as typeof method.step;
    const outcome = build(given.context?.(context) ?? context);
    const named = (tree: Tree = {}, prefix: string) =>
      Object.fromEntries(Object.entries(tree).map(([key, x]) => [prefix + key, x]));
    return {
      ...named(outcome.gradient, GRADIENT),
      ...named(outcome.state as Tree, MEMORY),
      ...outcome.metrics,
      ...given.seen,
    };
  };
  const program = await compile(device, feeds, build, spec);
  const run = (changed: HostTensors = {}): Promise<Record<string, HostTensor>> => program.run({ ...feeds, ...changed });
  return { feeds, names: [...trained.keys()], run };
}

/** A method's memory, each tensor by the name that it has in a checkpoint. */
const stateOf = ({ state }: TrainingMethod, memory: (name: string) => Tensor | undefined): Tree =>
  Object.fromEntries(
    Object.keys(state).flatMap((name) => {
      const found = memory(name);
      return found === undefined ? [] : [[name, found]];
    }),
  );

/** The gradient among a program's outputs, one number after the other. */
export const gradientOf = (outputs: HostTensors, names: Iterable<string>): number[] =>
  [...names].flatMap((name) => Array.from((outputs[GRADIENT + name] as HostTensor).data, Number));

/** A scalar, or a vector that a program left in the memory. */
export const outputOf = (outputs: HostTensors, name: string): number[] =>
  Array.from((outputs[name] ?? (outputs[MEMORY + name] as HostTensor | undefined))?.data ?? [], Number);
