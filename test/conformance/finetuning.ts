import { type Tensor, type Tree, tree } from "../../src/autodiff/index.ts";
import { choose } from "../../src/choice.ts";
import type { Outcome, TrainingMethod } from "../../src/methods/method.ts";
import { METHODS } from "../../src/methods/registry.ts";
import { Device } from "../../src/runtime/index.ts";
import { type HostTensor, tensor } from "../../src/tensor/tensor.ts";
import { stepContext } from "../../src/train/objective.ts";
import {
  compile,
  evaluate,
  type HostTensors,
  loraShapes,
  pick,
  randomRows,
  randomTensors,
  streamFeeds,
  streamSpec,
  streamsOf,
  tinyModel,
} from "./tiny-model.ts";

export const device = new Device({ threads: 1 });
export const model = tinyModel();
export const LOSS = { chunks: 2 };
export const SCALE = 0.5;
export const rows = {
  user: randomRows(model, [5, 9, 3, 7], 1),
  alignment: randomRows(model, [6, 2, 8, 4], 2),
  harmful: randomRows(model, [4, 7, 5, 6], 3),
};
export const names = [...loraShapes(model).keys()];
export const copyName = (copy: string, weight: string) => `copy ${copy} ${weight}`;

/** A copy of the weights that is not them. */
const elsewhere = (dtype: "float32" | "float64", seed: number): HostTensors =>
  randomTensors(loraShapes(model), dtype, seed);

export interface Problem {
  readonly feeds: HostTensors;
  /** What a program of the method gives at these arguments. */
  outcome(inputs: Tree): Outcome;
}

/** A program of a method on the tiny model's LoRA factors; its copies lie elsewhere, or at the weights (`atStart`). */
export function problem(
  name: string,
  options: object,
  {
    program = "step",
    dtype = "float64" as "float32" | "float64",
    atStart = false,
    inputs: given = {} as HostTensors,
    memory = {} as HostTensors,
  } = {},
): Problem {
  const method = choose(METHODS, { name, ...options });
  const lora = randomTensors(loraShapes(model), dtype, 2);
  const copies = Object.keys(method.state).filter((name) => method.state[name]?.kind === "copy");
  const feeds: HostTensors = Object.assign(
    { ...randomTensors(model.weights, dtype), ...lora, ...prefixed("input ", given), ...prefixed("memory ", memory) },
    ...copies.map((copy, i) =>
      Object.fromEntries(
        Object.entries(atStart ? lora : elsewhere(dtype, 7 + i)).map(([weight, x]) => [copyName(copy, weight), x]),
      ),
    ),
    streamFeeds(Object.fromEntries(Object.entries(rows).map(([stream, list]) => [stream, [list]])), LOSS.chunks, 1),
  );
  const outcome = (inputs: Tree) =>
    (method.programs[program] as typeof method.step)({
      ...stepContext({
        model,
        base: pick(inputs, model.weights.keys()),
        scale: SCALE,
        streams: streamsOf(inputs),
        loss: LOSS,
      }),
      weights: pick(inputs, names),
      inputs: unprefixed("input ", given, inputs),
      state: {
        ...unprefixed("memory ", memory, inputs),
        ...Object.fromEntries(
          copies.map((copy) => [
            copy,
            Object.fromEntries(names.map((weight) => [weight, inputs[copyName(copy, weight)] as Tensor])),
          ]),
        ),
      },
    });
  return { feeds, outcome };
}

export const SPEC = streamSpec(Object.keys(rows), LOSS.chunks);

const prefixed = <T>(prefix: string, x: Readonly<Record<string, T>> = {}): Record<string, T> =>
  Object.fromEntries(Object.entries(x).map(([name, value]) => [prefix + name, value]));
const unprefixed = (prefix: string, given: HostTensors, inputs: Tree): Tree =>
  Object.fromEntries(Object.keys(given).map((name) => [name, inputs[prefix + name] as Tensor]));

/** Gradient (`d NAME`), metrics, copies (`next COPY NAME`) of one run. */
export const run = ({ feeds, outcome }: Problem): Promise<Record<string, HostTensor>> =>
  evaluate(
    device,
    feeds,
    (inputs) => {
      const { gradient, metrics = {}, state = {} } = outcome(inputs);
      // What is no tensor is a copy of the weights.
      const copies = Object.entries(state).flatMap(([name, x = {}]) =>
        "dtype" in x ? [] : [[name, x as Tree] as const],
      );
      return {
        ...prefixed("d ", gradient),
        ...metrics,
        ...Object.assign({}, ...copies.map(([copy, x]) => prefixed(`next ${copy} `, x))),
      };
    },
    SPEC,
  );

/** A metric as a function of the arguments. */
export async function metric({ feeds, outcome }: Problem, name: string) {
  const compiled = await compile(
    device,
    feeds,
    (inputs) => ({ value: outcome(inputs).metrics?.[name] as Tensor }),
    SPEC,
  );
  return async (moved: HostTensors) => Number((await compiled.run(moved)).value?.data[0]);
}

export const gradients = names.map((name) => `d ${name}`);
export const scalar = (value: number, dtype: "float32" | "float64" = "float64") => tensor(dtype, [], [value]);

/** A method on two scalars `a`, `b` with losses of one's own, in float64. */
export async function onToy(
  method: TrainingMethod,
  at: readonly number[],
  loss: (w: Tensor, stream: string) => Tensor,
  copies: Readonly<Record<string, readonly number[]>> = {},
): Promise<{ gradient: number[]; copies: Record<string, number[]>; metrics: Record<string, number> }> {
  const vector = (values: readonly number[]) => tensor("float64", [values.length], values);
  const feeds: HostTensors = {
    w: vector(at),
    ...Object.fromEntries(Object.entries(copies).map(([copy, values]) => [`copy ${copy}`, vector(values)])),
  };
  const found = await evaluate(device, feeds, (inputs) => {
    const {
      gradient,
      state: next = {},
      metrics = {},
    } = method.step({
      ...stepContext({ model, base: {}, streams: {}, loss: LOSS }),
      weights: { w: inputs.w as Tensor },
      loss: (weights, stream) => loss(weights.w as Tensor, stream),
      state: Object.fromEntries(Object.keys(copies).map((copy) => [copy, { w: inputs[`copy ${copy}`] as Tensor }])),
    });
    const changed = Object.fromEntries(
      Object.entries(next).map(([copy, x]) => [`next ${copy}`, (x as Tree).w as Tensor]),
    );
    return { ...tree.mapTree(metrics, (x) => x), d: gradient.w as Tensor, ...changed };
  });
  const numbers = (key: string) => Array.from(found[key]?.data ?? [], Number);
  return {
    gradient: numbers("d"),
    copies: Object.fromEntries(
      Object.keys(found).flatMap((key) => (key.startsWith("next ") ? [[key.slice(5), numbers(key)]] : [])),
    ),
    metrics: Object.fromEntries(Object.keys(found).map((key) => [key, numbers(key)[0] ?? Number.NaN])),
  };
}
