import { expect, test } from "vitest";
import { type Tensor, valueAndGrad } from "../autodiff/index.ts";
import { Device } from "../runtime/index.ts";
import { tensor } from "../tensor/tensor.ts";
import { linearBinaryCrossEntropy, MOST_LABELS, marksOf } from "./binary-loss.ts";

const rows = 3;
const width = 2;
const wave = (length: number, phase: number, size = 1) =>
  Array.from({ length }, (_, i) => size * Math.sin(1.7 * i + phase));

/** The loss in plain numbers. */
function plain(hidden: number[], W: number[], marks: number[], weights: number[], labels: number): number {
  let total = 0;
  for (let r = 0; r < rows; r++) {
    for (let j = 0; j < labels; j++) {
      let z = 0;
      for (let k = 0; k < width; k++) z += (hidden[r * width + k] as number) * (W[j * width + k] as number);
      const holds = Math.floor((marks[r] as number) / 2 ** j) % 2 === 1;
      total += ((weights[r] as number) / labels) * Math.log1p(Math.exp(holds ? -z : z));
    }
  }
  return total;
}

test.each([2, 5, MOST_LABELS])(
  "of %i labels it is that of plain numbers, and so are central differences",
  async (labels) => {
    const hidden = wave(rows * width, 0.3);
    const W = wave(labels * width, 1.1);
    const marks = [0, marksOf(Array.from({ length: labels }, () => true)), marksOf([false, true])];
    const weights = [0.5, 0.25, 0.25];
    const f64 = (...shape: number[]) => ({ dtype: "float64" as const, shape });
    const types = {
      given: { hidden: f64(rows, width), W: f64(labels, width) },
      marks: { dtype: "int32" as const, shape: [rows] },
      weights: f64(rows),
    };
    const program = await new Device().compile(types, ({ given, marks, weights }) =>
      valueAndGrad((at) => linearBinaryCrossEntropy(at.hidden as Tensor, at.W as Tensor, marks, weights))(given),
    );
    const found = await program.run({
      given: { hidden: tensor("float64", [rows, width], hidden), W: tensor("float64", [labels, width], W) },
      marks: tensor("int32", [rows], marks),
      weights: tensor("float64", [rows], weights),
    });
    expect(found.value.data[0]).toBeCloseTo(plain(hidden, W, marks, weights, labels), 12);
    const step = 1e-5;
    for (const [name, values] of [
      ["hidden", hidden],
      ["W", W],
    ] as const) {
      for (let i = 0; i < values.length; i++) {
        const at = (by: number) => {
          const moved = values.with(i, (values[i] as number) + by);
          return name === "hidden"
            ? plain(moved, W, marks, weights, labels)
            : plain(hidden, moved, marks, weights, labels);
        };
        expect((found.grad as Record<string, { data: ArrayLike<number> }>)[name]?.data[i]).toBeCloseTo(
          (at(step) - at(-step)) / (2 * step),
          9,
        );
      }
    }
  },
);
