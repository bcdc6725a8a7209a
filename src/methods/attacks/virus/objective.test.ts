import { expect, test } from "vitest";
import { ops, type Tensor, type Tree, tree, valueAndGrad } from "../../../autodiff/index.ts";
import { Device } from "../../../runtime/index.ts";
import { type HostTensor, tensor } from "../../../tensor/tensor.ts";
import { type VirusFunctions, virusObjective, virusSlopes } from "./objective.ts";

const device = new Device({ threads: 1 });
const matrix = (rows: number[][]) => tensor("float64", [rows.length, rows[0]!.length], rows.flat());

/** A language model of two weights over three tokens: `logits[t] = x[t] diag(1, a, b) T`, the labels fixed. */
const functions: VirusFunctions = {
  victimLoss({ a, b }, x) {
    const one = ops.constantTensor(tensor("float64", [1], [1]));
    const scales = ops.concat([one, a as Tensor, b as Tensor], 0);
    const table = ops.constantTensor(
      matrix([
        [0.3, -1, 0.5],
        [1.2, 0.4, -0.7],
        [-0.2, 0.9, 0.8],
      ]),
    );
    const p = ops.softmax(ops.matmul(ops.mul(x, scales), table));
    return ops.neg(ops.mean(ops.log(ops.sum(ops.mul(p, LABELS()), { axes: [1] }))));
  },
  guardLoss(x) {
    const z = ops.sum(ops.mul(x, ops.constantTensor(tensor("float64", [3], [0.4, -1.3, 2]))));
    return ops.log(ops.add(ops.exp(z), 1));
  },
};
const LABELS = () =>
  ops.constantTensor(
    matrix([
      [0, 1, 0],
      [0, 0, 1],
    ]),
  );
const START = matrix([
  [1, 0, 0],
  [0, 1, 0],
]);
const HERE = matrix([
  [0, 1, 0],
  [0, 0, 1],
]);
const WEIGHTS = { a: tensor("float64", [1], [0.7]), b: tensor("float64", [1], [-1.1]) };

async function run(x: HostTensor, build: (weights: Tree, x: Tensor, original: Tree) => Tree) {
  const inputs = {
    x: { dtype: "float64" as const, shape: x.shape },
    a: { dtype: "float64" as const, shape: [1] },
    b: { dtype: "float64" as const, shape: [1] },
  };
  const program = await device.compile(inputs, ({ x: at, ...weights }) => {
    const original = valueAndGrad((w) => functions.victimLoss(w, ops.constantTensor(START)))(weights).grad;
    return build(weights, at, original);
  });
  return program.run({ x, ...WEIGHTS });
}
const number = (value: HostTensor | undefined) => Number(value?.data[0]);

test.each([0, 0.1, 0.7, 1])("slopes at lambda %f are central differences with the norm held", async (lambda) => {
  const { slopes, victimSlopes, loss } = await run(HERE, (weights, x, original) => ({
    ...virusSlopes(functions, { weights, x, original, lambda }),
  }));
  /** The objective written out, its norm given. */
  const parts = async (x: HostTensor) =>
    run(x, (weights, at, original) => {
      const { value, grad } = valueAndGrad((w) => functions.victimLoss(w, at))(weights);
      const products = Object.keys(grad).map((name) =>
        ops.sum(ops.mul(grad[name] as Tensor, original[name] as Tensor)),
      );
      return {
        victim: value,
        dot: ops.add(products[0] as Tensor, products[1] as Tensor),
        norm: tree.globalNorm(grad),
        guard: functions.guardLoss(at),
      };
    });
  const frozen = number((await parts(HERE)).norm);
  const objective = async (x: HostTensor) => {
    const { dot, guard } = await parts(x);
    return (1 - lambda) * (-number(dot) / frozen) + lambda * number(guard);
  };
  expect(number(loss)).toBeCloseTo(await objective(HERE), 12);
  const step = 1e-5;
  for (let i = 0; i < HERE.data.length; i++) {
    const at = (shift: number) =>
      tensor(
        "float64",
        HERE.shape,
        Array.from(HERE.data, (v, j) => Number(v) + (i === j ? shift : 0)),
      );
    const slope = ((await objective(at(step))) - (await objective(at(-step)))) / (2 * step);
    expect(Number(slopes!.data[i])).toBeCloseTo(slope, 8);
    const victim = (number((await parts(at(step))).victim) - number((await parts(at(-step))).victim)) / (2 * step);
    expect(Number(victimSlopes!.data[i])).toBeCloseTo(victim, 8);
  }
});

test("at the original row the gradients agree, and the similarity is the length of that gradient", async () => {
  const { cosine, similarity, norm } = await run(START, (weights, x, original) => {
    const terms = virusObjective(functions, { weights, x, original, lambda: 0 });
    return { cosine: terms.cosine as Tensor, similarity: terms.similarity as Tensor, norm: tree.globalNorm(original) };
  });
  expect(number(cosine)).toBeCloseTo(1, 12);
  expect(number(similarity)).toBeCloseTo(-number(norm), 12);
});

test("what lambda leaves out is not computed", async () => {
  const names = async (lambda: number) =>
    Object.keys(
      await run(HERE, (weights, x, original) => ({ ...virusObjective(functions, { weights, x, original, lambda }) })),
    );
  expect(await names(0)).not.toContain("guardLoss");
  expect(await names(1)).not.toContain("similarity");
});
