import { describe, expect, test } from "vitest";
import {
  compile,
  loraShapes,
  numbers,
  pick,
  randomRows,
  randomTensors,
  relativeError,
  streamFeeds,
  streamSpec,
  streamsOf,
  tinyModel,
} from "../../../test/conformance/tiny-model.ts";
import { type Tensor, valueAndGrad } from "../../autodiff/index.ts";
import { Device } from "../../runtime/index.ts";
import { stepContext } from "../../train/objective.ts";
import type { StepContext, StepDirection } from "../method.ts";
import { deepAlignment } from "./deep-alignment.ts";

const device = new Device({ threads: 1 });
const model = tinyModel();
const rows = { alignment: randomRows(model, [5, 8], 1), general: randomRows(model, [6, 9, 7, 4], 2) };
const streams = { ...rows, both: [...rows.alignment, ...rows.general] };
const names = [...loraShapes(model).keys()];

/** Loss and gradient in float64. */
async function evaluate(direction: (context: StepContext) => StepDirection) {
  const parts = Object.fromEntries(Object.entries(streams).map(([stream, examples]) => [stream, [examples]]));
  const feeds = {
    ...randomTensors(model.weights, "float64"),
    ...randomTensors(loraShapes(model), "float64", 2),
    ...streamFeeds(parts, 1),
  };
  const program = await compile(
    device,
    feeds,
    (inputs) => {
      const base = pick(inputs, model.weights.keys());
      const context = stepContext({ model, base, scale: 0.5, streams: streamsOf(inputs), loss: { chunks: 1 } });
      const { gradient, metrics } = direction({ ...context, weights: pick(inputs, names), state: {} });
      return {
        ...Object.fromEntries(names.map((name) => [`d ${name}`, gradient[name] as Tensor])),
        loss: metrics.loss,
      };
    },
    streamSpec(Object.keys(streams), 1),
  );
  const { loss, ...gradient } = await program.run(feeds);
  return {
    loss: Number(loss?.data[0]),
    gradient: numbers(
      gradient,
      names.map((name) => `d ${name}`),
    ),
  };
}

const sftOn = (stream: string) =>
  evaluate(({ weights, loss }) => {
    const { value, grad } = valueAndGrad((w) => loss(w, stream))(weights);
    return { gradient: grad, metrics: { loss: value } };
  });

const deep = (options: object) =>
  evaluate((context) => deepAlignment.create(deepAlignment.options.parse(options)).step(context));

describe("deep alignment", () => {
  test("pooled, it is the loss of both batches in one", async () => {
    const [pooled, both] = [await deep({}), await sftOn("both")];
    // 1 / number of tokens comes as float32.
    expect(pooled.loss).toBeCloseTo(both.loss, 6);
    expect(relativeError(pooled.gradient, both.gradient)).toBeLessThan(1e-7);
  });

  test("in the paper's way, alpha times one mean and 1 - alpha times the other", async () => {
    const [found, refusals, anchors] = [
      await deep({ mode: "paper", alpha: 0.3 }),
      await sftOn("alignment"),
      await sftOn("general"),
    ];
    expect(found.loss).toBeCloseTo(0.3 * refusals.loss + 0.7 * anchors.loss, 10);
    const expected = refusals.gradient.map((x, i) => 0.3 * x + 0.7 * (anchors.gradient[i] as number));
    expect(relativeError(found.gradient, expected)).toBeLessThan(1e-10);
    expect(Math.abs(found.loss - (await deep({})).loss)).toBeGreaterThan(1e-3);
  });
});
