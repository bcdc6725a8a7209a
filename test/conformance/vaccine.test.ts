/** Vaccine against its definition: the length of the perturbation, its direction, the gradient under it. */
import { expect, test } from "vitest";
import { ops, type Tensor } from "../../src/autodiff/index.ts";
import type { StepContext } from "../../src/methods/method.ts";
import type { Place } from "../../src/models/index.ts";
import { Device } from "../../src/runtime/index.ts";
import { type HostTensor, zeros } from "../../src/tensor/tensor.ts";
import { stepContext } from "../../src/train/objective.ts";
import { gradientOf, methodProgram, outputOf } from "./method-program.ts";
import {
  centralDifferences,
  compile,
  type HostTensors,
  loraShapes,
  numbers,
  pick,
  randomRows,
  randomTensors,
  relativeError,
  streamFeeds,
  streamsOf,
  tinyModel,
} from "./tiny-model.ts";

const device = new Device({ threads: 1 });
const LENGTHS = [5, 9, 3, 7];

/** Vaccine's step in float64, with the perturbation of each attention output (`e LAYER`). */
async function step(model: ReturnType<typeof tinyModel>, rho: number) {
  const rows = { alignment: randomRows(model, LENGTHS, 1) };
  const seen: Record<string, Tensor> = {};
  // The second pass comes last, so its perturbations are those that stay.
  const context = (given: StepContext): StepContext => ({
    ...given,
    loss: (weights, stream, look) =>
      given.loss(weights, stream, {
        tap(place, layer, x) {
          const replaced = look?.tap?.(place, layer, x) ?? x;
          if (place === "attention") seen[`e ${layer}`] = ops.sub(replaced, x);
          return replaced;
        },
      }),
  });
  const program = await methodProgram(device, model, "vaccine", { rho }, { rows, dtype: "float64", context, seen });
  const outputs = await program.run();
  return {
    outputs,
    rows,
    names: program.names,
    e: Object.keys(seen),
    at: (name: string) => outputOf(outputs, name)[0] as number,
  };
}

/** The loss on the rows as a function of LoRA factors and of what is added to the attention outputs. */
async function perturbedLoss(
  model: ReturnType<typeof tinyModel>,
  rows: { alignment: ReturnType<typeof randomRows> },
  e: HostTensors,
) {
  const feeds: HostTensors = {
    ...randomTensors(model.weights, "float64"),
    ...randomTensors(loraShapes(model), "float64", 2),
    ...e,
    ...streamFeeds({ alignment: [rows.alignment] }, 2),
  };
  const build = (inputs: Record<string, Tensor>) => {
    const { loss } = stepContext({
      model,
      base: pick(inputs, model.weights.keys()),
      scale: 0.5,
      streams: streamsOf(inputs),
      loss: { chunks: 2 },
    });
    const tap = (place: Place, layer: number, x: Tensor) => {
      const added = inputs[`e ${layer}`];
      return place !== "attention" || added === undefined ? x : ops.add(x, added);
    };
    return { value: loss(pick(inputs, loraShapes(model).keys()), "alignment", { tap }) };
  };
  const program = await compile(device, feeds, build);
  return { feeds, value: async (moved: HostTensors) => numbers(await program.run(moved))[0] as number };
}

const pickHost = (outputs: HostTensors, names: readonly string[]): HostTensors =>
  Object.fromEntries(names.map((name) => [name, outputs[name] as HostTensor]));

test("the perturbation has length rho over all layers, rows and tokens", async () => {
  const { outputs, e } = await step(tinyModel(), 1.7);
  expect(e).toHaveLength(2);
  expect(Math.hypot(...numbers(outputs, e))).toBeCloseTo(1.7, 5);
});

test("to first order it raises the loss by rho times the norm of the gradient at the outputs", async () => {
  const errorAt = async (rho: number) => {
    const { at } = await step(tinyModel(), rho);
    return Math.abs((at("loss") - at("cleanLoss")) / (rho * at("hiddenGradientNorm")) - 1);
  };
  const [near, nearer] = [await errorAt(1e-1), await errorAt(1e-2)];
  expect(near).toBeLessThan(0.1);
  expect(nearer / near).toBeLessThan(0.2);
});

test("the gradient is that at the perturbation, held constant", async () => {
  const model = tinyModel();
  const { outputs, rows, names, e } = await step(model, 0.8);
  const { feeds, value } = await perturbedLoss(model, rows, pickHost(outputs, e));
  expect(relativeError([await value(feeds)], outputOf(outputs, "loss"))).toBeLessThan(1e-12);
  expect(relativeError(gradientOf(outputs, names), await centralDifferences(value, feeds, names))).toBeLessThan(1e-7);
});

test("of one layer: along the slopes of the loss at its attention output", async () => {
  const model = tinyModel({ num_hidden_layers: 1 });
  const { outputs, rows, e } = await step(model, 0.8);
  const none = Object.fromEntries(e.map((name) => [name, zeros("float64", outputs[name]?.shape ?? [])]));
  const { feeds, value } = await perturbedLoss(model, rows, none);
  const slopes = await centralDifferences(value, feeds, e);
  const length = Math.hypot(...slopes);
  expect(
    relativeError(
      numbers(outputs, e),
      slopes.map((x) => (0.8 * x) / length),
    ),
  ).toBeLessThan(1e-6);
});
