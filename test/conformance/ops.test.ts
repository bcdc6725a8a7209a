/**
 * Every primitive operation in float64: gradients against central differences, and gradients of gradients likewise.
 * The table of cases is the table of operations itself (`OPS`), so a new row is tested without another line here.
 */
import { describe, expect, test } from "vitest";
import { type Op, ops, type Sample, type Tensor, type Tree, vjp } from "../../src/autodiff/index.ts";
import { Device, type Program } from "../../src/runtime/index.ts";
import { type HostTensor, tensor } from "../../src/tensor/tensor.ts";
import { drawFrom, randomTensor, sampleInputs } from "./draw.ts";

const CASES = Number(process.env.BOOSTER_CONFORMANCE ?? 3);
const STEP = 1e-5;
const device = new Device({ threads: 1 });

/** y, the gradients of sum(w * y), and the gradients of sum(v * those gradients), as one program. */
async function differentiate(op: Op, sample: Sample<unknown>, feeds: Record<string, HostTensor>) {
  const floats = sample.inputs.flatMap((x, i) => ("int32" in x || "bool" in x || "values" in x ? [] : [`x${i}`]));
  const types = Object.fromEntries(Object.entries(feeds).map(([name, { dtype, shape }]) => [name, { dtype, shape }]));
  const build = (inputs: Tree): Tree => {
    const args = sample.inputs.map((_, i) => inputs[`x${i}`] as Tensor);
    const y = op.rebuild(args, sample.attrs);
    const outputs: Record<string, Tensor> = { y };
    const wrt = floats.map((name) => inputs[name] as Tensor);
    if (!op.differentiable || !y.dtype.startsWith("float")) return outputs;
    const first = vjp(y, ops.expand(inputs.w as Tensor, y.shape), wrt);
    const products = first.map((g, i) => ops.sum(ops.mul(g, inputs[`v${floats[i]}`] as Tensor)));
    const scalar = products.reduce((a, b) => ops.add(a, b));
    outputs.scalar = scalar;
    outputs.phi = ops.sum(ops.mul(y, inputs.w as Tensor));
    vjp(scalar, ops.constant(1, "float64"), wrt).forEach((g, i) => {
      outputs[`second ${floats[i]}`] = g;
      outputs[`first ${floats[i]}`] = first[i] as Tensor;
    });
    return outputs;
  };
  return { program: await device.compile(types, build), floats };
}

/** Relative to the largest entry: a single tiny entry must not decide. */
function expectClose(found: ArrayLike<number>, expected: readonly number[], tolerance: number, what: string) {
  const scale = Math.max(1, ...expected.map(Math.abs));
  expected.forEach((value, i) => {
    const error = Math.abs((found[i] as number) - value) / scale;
    expect(error, `${what}[${i}]: ${found[i]} against ${value}`).toBeLessThan(tolerance);
  });
}

async function centralDifferences(program: Program, feeds: Record<string, HostTensor>, name: string, output: string) {
  const { data, shape } = feeds[name] as HostTensor<"float64">;
  const slopes: number[] = [];
  for (let i = 0; i < data.length; i++) {
    const at = async (shift: number) => {
      const moved = data.slice();
      moved[i] = (moved[i] as number) + shift;
      const result = await program.run({ ...feeds, [name]: tensor("float64", shape, moved) });
      return Number((result[output] as HostTensor).data[0]);
    };
    slopes.push(((await at(STEP)) - (await at(-STEP))) / (2 * STEP));
  }
  return slopes;
}

describe.each(ops.OPS.map((op) => [op.name, op] as const))("%s", (name, op) => {
  const draw = drawFrom(name);
  const samples = Array.from({ length: CASES }, () => op.samples(draw)).flat();

  test("has at least one case", () => expect(samples.length).toBeGreaterThan(0));

  test.each(samples.map((sample, i) => [i, sample] as const))("case %i", async (_, sample) => {
    const feeds: Record<string, HostTensor> = {};
    sampleInputs(draw, sample, "float64").forEach((value, i) => {
      feeds[`x${i}`] = value;
      feeds[`vx${i}`] = randomTensor(draw, value.shape);
    });
    const args = sample.inputs.map((_, i) => {
      const { dtype, shape } = feeds[`x${i}`] as HostTensor;
      return ops.input(`x${i}`, dtype, shape);
    });
    const y = op.rebuild(args, sample.attrs);
    feeds.w = randomTensor(draw, y.shape as number[]);
    const flows = op.gradient(y, ops.input("w", y.dtype, y.shape)).map((thunk) => thunk !== undefined);

    const { program, floats } = await differentiate(op, sample, feeds);
    const result = await program.run(feeds);
    expect(result.y?.shape).toEqual(y.shape);
    if (result.phi === undefined) return;
    for (const x of floats) {
      // A table that a rule calls constant (rotary's cosines) has no gradient to compare.
      if (!flows[Number(x.slice(1))]) continue;
      const first = (result[`first ${x}`] as HostTensor<"float64">).data;
      expectClose(first, await centralDifferences(program, feeds, x, "phi"), 1e-6, `d/d${x}`);
      const second = (result[`second ${x}`] as HostTensor<"float64">).data;
      expectClose(second, await centralDifferences(program, feeds, x, "scalar"), 1e-5, `d2/d${x}`);
    }
  });
});
