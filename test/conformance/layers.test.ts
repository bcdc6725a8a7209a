/**
 * What models are put together of, in float64: values against plain numbers, gradients and gradients of gradients against
 * central differences.
 */
import { describe, expect, test } from "vitest";
import { ops, type Tensor, type Tree, vjp } from "../../src/autodiff/index.ts";
import * as nn from "../../src/nn/index.ts";
import { Device } from "../../src/runtime/index.ts";
import { tensor } from "../../src/tensor/tensor.ts";
import { centralDifferences, compile, type HostTensors, numbers, randomTensors } from "./tiny-model.ts";

interface Layer {
  /** Shapes of what is differentiated, by name. */
  readonly inputs: Readonly<Record<string, readonly number[]>>;
  build(inputs: Tree): Tensor;
  /** The same from numbers, row-major. */
  value(inputs: Readonly<Record<string, readonly number[]>>): number[];
}

const device = new Device({ threads: 1 });
const labels = [2, 0, 4, 1];
const weights = [0.5, 0.25, 0, 0.25];

const sum = (x: readonly number[]) => x.reduce((a, b) => a + b, 0);
const upTo = (n: number) => Array.from({ length: n }, (_, i) => i);
const rowsOf = (x: readonly number[] = [], width = 1) =>
  upTo(x.length / width).map((i) => x.slice(i * width, (i + 1) * width));
const dot = (a: readonly number[], b: readonly number[]) => sum(a.map((x, i) => x * (b[i] as number)));
const softmax = (x: readonly number[]) => x.map((v) => Math.exp(v) / sum(x.map((w) => Math.exp(w))));
const elementwise =
  (f: (x: number) => number): Layer["value"] =>
  ({ x = [] }) =>
    x.map(f);

/** Simpson's rule on the normal density from 0. */
function phi(x: number): number {
  const steps = 2000;
  const density = (t: number) => Math.exp((-t * t) / 2) / Math.sqrt(2 * Math.PI);
  const weight = (i: number) => (i === 0 || i === steps ? 1 : i % 2 === 0 ? 2 : 4);
  return 0.5 + (x / steps / 3) * sum(upTo(steps + 1).map((i) => weight(i) * density((x * i) / steps)));
}

const geluTanh = (x: number) => (x / 2) * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
const cap = (x: number, by: number) => by * Math.tanh(x / by);

/** One head pair sharing keys, three queries, three keys. */
const attention = (seeing: nn.Attention, recompute = false): Layer => ({
  inputs: { q: [1, 2, 3, 2], k: [1, 1, 3, 2], v: [1, 1, 3, 2] },
  build: ({ q, k, v }) => {
    const queries = ops.reshape(ops.range(3), [3, 1]);
    const mask = nn.causalMask(queries, 3, "float64", ops.sub(queries, (seeing.window ?? 9) - 1));
    const [Q, K, V] = [q as Tensor, k as Tensor, v as Tensor];
    const again = (after: Tensor) => ({ q: ops.barrier(Q, after), k: ops.barrier(K, after), v: ops.barrier(V, after) });
    return nn.attention(Q, K, V, mask, seeing, recompute ? again : undefined);
  },
  value: ({ q, k, v }) =>
    rowsOf(q, 2).flatMap((query, i) => {
      const seen = upTo(3).filter((key) => key <= i % 3 && key > (i % 3) - (seeing.window ?? 3));
      const [keys, values] = [rowsOf(k, 2), rowsOf(v, 2)];
      const scores = seen.map((key) => seeing.scale * dot(query, keys[key] as number[]));
      const p = softmax(scores.map((s) => (seeing.softcap === undefined ? s : cap(s, seeing.softcap))));
      return upTo(2).map((c) =>
        dot(
          p,
          seen.map((key) => values[key]?.[c] as number),
        ),
      );
    }),
});

const loss = (softcap: number | undefined, asFunction = false): Layer => ({
  inputs: { h: [4, 3], W: [5, 3] },
  build({ h, W }) {
    const [of, shares] = [ops.constantTensor(tensor("int32", [4], labels)), tensor("float64", [4], weights)];
    const given = ops.constantTensor(shares, "float64");
    return nn.linearCrossEntropy(h as Tensor, W as Tensor, of, asFunction ? () => given : given, 2, softcap);
  },
  value: ({ h, W }) => [
    sum(
      rowsOf(h, 3).map((row, i) => {
        const logits = rowsOf(W, 3).map((column) => dot(row, column));
        const p = softmax(softcap === undefined ? logits : logits.map((z) => cap(z, softcap)));
        return -(weights[i] as number) * Math.log(p[labels[i] as number] as number);
      }),
    ),
  ],
});

const LAYERS: Readonly<Record<string, Layer>> = {
  layerNorm: {
    inputs: { x: [3, 4], w: [4], b: [4] },
    build: ({ x, w, b }) => nn.layerNorm(x as Tensor, w as Tensor, b as Tensor, 1e-2),
    value: ({ x, w = [], b = [] }) =>
      rowsOf(x, 4).flatMap((row) => {
        const mean = sum(row) / 4;
        const variance = sum(row.map((v) => (v - mean) ** 2)) / 4;
        return row.map((v, i) => ((v - mean) / Math.sqrt(variance + 1e-2)) * (w[i] as number) + (b[i] as number));
      }),
  },
  gelu: {
    inputs: { x: [2, 5] },
    build: ({ x }) => nn.activated(nn.gelu, ops.mul(x as Tensor, 4)),
    value: elementwise((x) => 4 * x * phi(4 * x)),
  },
  "gelu with tanh, computed again": {
    inputs: { x: [2, 5] },
    build: ({ x }) => nn.activated(nn.geluTanh, ops.mul(x as Tensor, 4), true),
    value: elementwise((x) => geluTanh(4 * x)),
  },
  relu: {
    inputs: { x: [2, 5] },
    build: ({ x }) => nn.activated(nn.relu, x as Tensor),
    value: elementwise((x) => Math.max(x, 0)),
  },
  "gated silu": {
    inputs: { x: [2, 5], up: [2, 5] },
    build: ({ x, up }) => nn.gated(nn.silu, x as Tensor, up as Tensor),
    value: ({ x = [], up = [] }) => x.map((v, i) => (v / (1 + Math.exp(-v))) * (up[i] as number)),
  },
  "gated gelu with tanh": {
    inputs: { x: [2, 5], up: [2, 5] },
    build: ({ x, up }) => nn.gated(nn.geluTanh, x as Tensor, up as Tensor, true),
    value: ({ x = [], up = [] }) => x.map((v, i) => geluTanh(v) * (up[i] as number)),
  },
  attention: attention({ scale: 0.7 }),
  "attention with a window": attention({ scale: 0.7, window: 2 }),
  "attention with a soft cap": attention({ scale: 2, softcap: 0.5 }),
  "attention with both, computed again": attention({ scale: 2, window: 2, softcap: 0.5 }, true),
  loss: loss(undefined),
  "loss of soft-capped logits": loss(0.8),
  "loss of soft-capped logits, weights from predictions": loss(0.8, true),
};

/** The layer, `phi = sum(u y)`, and `scalar = sum over inputs of v * d phi`, with both gradients. */
function differentiate({ inputs, build }: Layer, given: Tree): Tree {
  const names = Object.keys(inputs);
  const wrt = names.map((name) => given[name] as Tensor);
  const y = build(given);
  const u = ops.expand(given.u as Tensor, y.shape);
  const first = vjp(y, u, wrt);
  const scalar = first
    .map((g, i) => ops.sum(ops.mul(g, given[`v ${names[i]}`] as Tensor)))
    .reduce((a, b) => ops.add(a, b));
  const second = vjp(scalar, ops.constant(1, "float64"), wrt);
  const named = (prefix: string, list: readonly Tensor[]) =>
    Object.fromEntries(names.map((name, i) => [`${prefix} ${name}`, list[i] as Tensor]));
  return { y, phi: ops.sum(ops.mul(y, u)), scalar, ...named("first", first), ...named("second", second) };
}

const largest = (found: readonly number[], expected: readonly number[]) =>
  Math.max(...found.map((x, i) => Math.abs(x - (expected[i] as number)))) / Math.max(1, ...expected.map(Math.abs));

describe.each(Object.entries(LAYERS))("%s", (_, layer) => {
  const names = Object.keys(layer.inputs);
  const shapes = Object.entries(layer.inputs);
  const drawn = randomTensors(shapes, "float64", 3);
  const directions = randomTensors(
    shapes.map(([name, shape]) => [`v ${name}`, shape] as const),
    "float64",
    4,
  );
  const given = Object.fromEntries(names.map((name) => [name, numbers(drawn, [name])]));
  const size = layer.value(given).length;
  const outer = size === 1 ? [] : [size];
  const feeds: HostTensors = { ...drawn, ...directions };

  test("value and gradients", async () => {
    const shape = ops.input("y", "float64", outer);
    const program = await compile(
      device,
      { ...feeds, u: randomTensors([["u", outer]], "float64", 5).u as never },
      (x) => {
        const y = layer.build(x);
        return differentiate({ ...layer, build: () => ops.reshape(y, shape.shape) }, x);
      },
    );
    const all = { ...feeds, u: randomTensors([["u", outer]], "float64", 5).u as never };
    const found = await program.run(all);
    expect(largest(numbers(found, ["y"]), layer.value(given))).toBeLessThan(1e-11);
    for (const [order, of, tolerance] of [
      ["first", "phi", 1e-6],
      ["second", "scalar", 1e-5],
    ] as const) {
      const slopes = await centralDifferences(async (at) => Number((await program.run(at))[of]?.data[0]), all, names);
      const exact = names.flatMap((name) => numbers(found, [`${order} ${name}`]));
      expect(largest(exact, slopes), order).toBeLessThan(tolerance);
    }
  });
});
