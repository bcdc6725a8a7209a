/** What `grad` and its companions promise, on functions small enough to differentiate by hand. */
import { describe, expect, test } from "vitest";
import { checkpoint, grad, lower, ops, type Tensor, type Tree, valueAndGrad } from "../../src/autodiff/index.ts";
import { Device } from "../../src/runtime/index.ts";
import { tensor } from "../../src/tensor/tensor.ts";
import { evaluate, numbers, randomTensors } from "./tiny-model.ts";

const device = new Device({ threads: 1 });
const { constant, customGradient, exp, matmul, mul, stopGradient, sum, tanh } = ops;

const input = (name: string) => ops.input(name, "float64", [3]);
const x = (tree: Tree) => tree.x as Tensor;
const y = (tree: Tree) => tree.y as Tensor;

const at = { x: tensor("float64", [3], [0.5, -1, 2]), y: tensor("float64", [3], [3, 1, -2]) };

/** The gradient of a function of x and y at `at`, as numbers. */
async function gradientAt(fn: (weights: Tree) => Tensor) {
  const result = await evaluate(device, at, (inputs) => {
    const { x: dx, y: dy } = grad(fn)(inputs);
    return { dx: dx as Tensor, dy: dy as Tensor };
  });
  return { dx: numbers(result, ["dx"]), dy: numbers(result, ["dy"]) };
}

describe("grad", () => {
  test("is closed under itself: the third derivative of x^4 / 24 is x", async () => {
    const quartic = (z: Tensor) => mul(mul(mul(z, z), mul(z, z)), 1 / 24);
    const derivative = (fn: (z: Tensor) => Tensor) => (z: Tensor) => x(grad((w) => sum(fn(x(w))))({ x: z }));
    const third = derivative(derivative(derivative(quartic)));
    const result = await evaluate(device, at, (inputs) => ({ third: third(x(inputs)) }));
    numbers(result).forEach((value, i) => {
      expect(value).toBeCloseTo(at.x.data[i] as number, 12);
    });
  });

  test("what the function closes over is constant, even where it came from the argument", async () => {
    const result = await evaluate(device, at, (inputs) => {
      const outside = exp(x(inputs));
      return { dx: x(grad((w) => sum(mul(x(w), outside)))(inputs)), outside };
    });
    expect(numbers(result, ["dx"])).toEqual(numbers(result, ["outside"]));
  });

  test("an argument that is not used has a gradient of zeros", async () => {
    expect((await gradientAt((w) => sum(x(w)))).dy).toEqual([0, 0, 0]);
  });

  test("what leads to constants alone is never built", () => {
    const tripwire = customGradient([input("x"), input("y")], mul(input("x"), input("y")), () => [
      () => input("y"),
      () => {
        throw new Error("nobody asked for this gradient");
      },
    ]);
    expect(() => grad((w) => sum(mul(x(w), tripwire)))({ x: input("x") })).not.toThrow();

    const nodes = (fn: (w: Tree) => Tensor, weights: Tree) => {
      const before = constant(0).id;
      grad(fn)(weights);
      return constant(0).id - before;
    };
    const far = (w: Tree) =>
      sum(
        mul(
          x(w),
          Array.from({ length: 50 }).reduce<Tensor>((z) => tanh(z), y(w)),
        ),
      );
    const withoutY = nodes((w) => far({ ...w, y: input("y") }), { x: input("x") });
    expect(nodes(far, { x: input("x"), y: input("y") })).toBeGreaterThan(withoutY + 50);
    // Fifty nodes forward, a handful for x.
    expect(withoutY).toBeLessThan(65);
  });

  test("only a scalar has one", () => {
    expect(() => grad(x)({ x: input("x") })).toThrow(expect.objectContaining({ code: "SHAPE_MISMATCH" }));
  });

  test("of a tensor that is used twice is the sum", async () => {
    const { dx } = await gradientAt((w) => sum(ops.add(mul(x(w), x(w)), mul(x(w), 3))));
    expect(dx).toEqual([4, 1, 7]);
  });
});

describe("stopGradient", () => {
  test("the value of x, a constant for every gradient", async () => {
    const { dx } = await gradientAt((w) => sum(mul(x(w), stopGradient(x(w)))));
    expect(dx).toEqual([0.5, -1, 2]);
  });

  test("also inside a gradient of a gradient", async () => {
    const inner = (w: Tree) => x(grad((v) => sum(mul(mul(x(v), x(v)), x(v))))(w));
    const { dx } = await gradientAt((w) => sum(mul(x(w), stopGradient(inner(w)))));
    expect(dx).toEqual([0.75, 3, 12]);
  });
});

describe("customGradient", () => {
  const asIfSquare = (z: Tensor) => customGradient([z], exp(z), (g) => [() => mul(g, mul(z, 2))]);

  test("the value is the function's, the gradient is the rule's", async () => {
    const result = await evaluate(device, at, ({ x: z }) => ({
      value: asIfSquare(z as Tensor),
      exp: exp(z as Tensor),
    }));
    expect(numbers(result, ["value"])).toEqual(numbers(result, ["exp"]));
    expect((await gradientAt((w) => sum(asIfSquare(x(w))))).dx).toEqual([1, -2, 4]);
  });

  test("the rule is differentiated in turn", async () => {
    const { dx } = await gradientAt((w) => sum(x(grad((v) => sum(asIfSquare(x(v))))(w))));
    expect(dx).toEqual([2, 2, 2]);
  });

  test("an input without a rule gets nothing", async () => {
    const { dx, dy } = await gradientAt((w) =>
      sum(customGradient([x(w), y(w)], mul(x(w), y(w)), (g) => [() => g, undefined])),
    );
    expect([dx, dy]).toEqual([
      [1, 1, 1],
      [0, 0, 0],
    ]);
  });
});

describe("checkpoint", () => {
  const feeds = randomTensors(
    [
      ["x", [2, 3]],
      ["a", [3, 4]],
      ["b", [4, 3]],
    ],
    "float64",
  );
  const f = (...[z, a, b]: Tensor[]) => tanh(matmul(tanh(matmul(z as Tensor, a as Tensor)), b as Tensor));

  test("values, gradients and gradients of gradients are those of the function", async () => {
    const result = await evaluate(device, feeds, (inputs) => {
      const outputs: Record<string, Tensor> = {};
      for (const [name, block] of [
        ["plain", f],
        ["again", (...args: Tensor[]) => checkpoint(f, ...args)],
      ] as const) {
        const loss = ({ x: z, a, b }: Tree) =>
          sum(block(block(z as Tensor, a as Tensor, b as Tensor), a as Tensor, b as Tensor));
        const first = (w: Tree) =>
          Object.values(grad(loss)(w))
            .map((g) => sum(mul(g, g)))
            .reduce((p, q) => ops.add(p, q));
        const [one, two] = [valueAndGrad(loss)(inputs), grad(first)(inputs)];
        outputs[`${name} value`] = one.value;
        for (const key of Object.keys(inputs)) {
          outputs[`${name} d${key}`] = one.grad[key] as Tensor;
          outputs[`${name} dd${key}`] = two[key] as Tensor;
        }
      }
      return outputs;
    });
    const of = (prefix: string) =>
      numbers(
        result,
        Object.keys(result).filter((name) => name.startsWith(prefix)),
      );
    const plain = of("plain");
    expect(plain.length).toBe(1 + 2 * (6 + 12 + 12));
    of("again").forEach((value, i) => {
      expect(value).toBeCloseTo(plain[i] as number, 12);
    });
  });

  test("keeps nothing between the passes and computes it again", () => {
    const count = (block: (...args: Tensor[]) => Tensor) => {
      const inputs = Object.fromEntries(
        Object.entries(feeds).map(([name, { dtype, shape }]) => [name, ops.input(name, dtype, shape)]),
      );
      const twice = ({ x: z, a, b }: Tree) =>
        sum(block(block(z as Tensor, a as Tensor, b as Tensor), a as Tensor, b as Tensor));
      const { nodes } = lower({ dx: x(grad(twice)(inputs)) }, "cpu");
      return nodes.filter(({ type }) => type === "Tanh").length;
    };
    expect(count(f)).toBe(4);
    // Forward: the first block alone, since nobody reads the last value. Backward: both.
    expect(count((...args) => checkpoint(f, ...args))).toBe(6);
  });
});

describe("equal computations", () => {
  test("two gradients of one loss at one place cost one", () => {
    const loss = (w: Tree) => sum(tanh(mul(exp(x(w)), y(w))));
    const weights = { x: input("x"), y: input("y") };
    const outputs = (prefix: string, { value, grad: g }: ReturnType<ReturnType<typeof valueAndGrad>>) => ({
      [`${prefix} value`]: value,
      [`${prefix} dx`]: x(g),
      [`${prefix} dy`]: y(g),
    });
    const once = outputs("once", valueAndGrad(loss)(weights));
    const twice = outputs("twice", valueAndGrad(loss)(weights));
    const single = lower(once, "cpu").nodes;
    const both = lower({ ...once, ...twice }, "cpu").nodes;
    expect(both.filter(({ type }) => type !== "Identity")).toHaveLength(single.length);
  });
});
