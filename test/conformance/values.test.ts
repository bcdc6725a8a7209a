/**
 * Values of every primitive operation against a reference on nested loops, written from the operations' definitions
 * alone: in float64 to the last digits, and in float32, where fused kernels take over, to float32's.
 */
import { describe, expect, test } from "vitest";
import { type Op, ops, type Sample, type Tensor } from "../../src/autodiff/index.ts";
import { Device } from "../../src/runtime/index.ts";
import { type HostTensor, sizeOf, tensor } from "../../src/tensor/tensor.ts";
import { drawFrom, type Random, sampleInputs } from "./draw.ts";
import { evaluate, numbers } from "./tiny-model.ts";

interface Grid {
  readonly shape: readonly number[];
  readonly data: readonly number[];
}
type Index = readonly number[];

function indices([size, ...rest]: readonly number[]): Index[] {
  if (size === undefined) return [[]];
  return Array.from({ length: size }, (_, i) => indices(rest).map((tail) => [i, ...tail])).flat();
}

const fill = (shape: readonly number[], value: (index: Index) => number): Grid => ({
  shape,
  data: indices(shape).map(value),
});

/** The element at an index; missing leading axes and axes of size 1 are repeated, as NumPy broadcasts. */
function at({ shape, data }: Grid, index: Index): number {
  const own = index.slice(index.length - shape.length);
  return data[
    shape.reduce((offset, size, axis) => offset * size + (size === 1 ? 0 : (own[axis] as number)), 0)
  ] as number;
}

function broadcast(...grids: readonly Grid[]): number[] {
  const rank = Math.max(...grids.map(({ shape }) => shape.length));
  return Array.from({ length: rank }, (_, axis) =>
    Math.max(...grids.map(({ shape }) => shape[axis - rank + shape.length] ?? 1)),
  );
}

const each =
  (f: (...values: number[]) => number) =>
  (grids: readonly Grid[]): Grid =>
    fill(broadcast(...grids), (index) => f(...grids.map((grid) => at(grid, index))));

const replaced = (index: Index, axis: number, value: number): number[] => index.map((v, i) => (i === axis ? value : v));
const total = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

/** Reduced axes stay as size 1. */
const reduced =
  (f: (values: readonly number[]) => number) =>
  ([x]: Grids, { axes }: { axes: readonly number[] }): Grid =>
    fill(
      x.shape.map((size, axis) => (axes.includes(axis) ? 1 : size)),
      (index) =>
        f(
          indices(x.shape)
            .filter((inner) => inner.every((v, axis) => axes.includes(axis) || v === index[axis]))
            .map((inner) => at(x, inner)),
        ),
    );

/** The values of the last axis around an index. */
const lastAxis = (x: Grid, index: Index): number[] =>
  upTo(x.shape.at(-1) as number).map((i) => at(x, replaced(index, x.shape.length - 1, i)));

/** `2 / sqrt(pi) e^-x^2 * sum of 2^n x^(2n + 1) / (1 * 3 * ... * (2n + 1))` */
function erf(x: number): number {
  let [term, sum] = [x, x];
  for (let n = 1; n < 100; n++) sum += term *= (2 * x * x) / (2 * n + 1);
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
}

interface Product {
  readonly alpha: number;
  readonly transA: boolean;
  readonly transB: boolean;
}

function product([a, b]: Grids, { alpha, transA, transB }: Product): Grid {
  const [rowsA, columnsA] = a.shape.slice(-2) as [number, number];
  const [rowsB, columnsB] = b.shape.slice(-2) as [number, number];
  const [rows, inner] = transA ? [columnsA, rowsA] : [rowsA, columnsA];
  return fill([...a.shape.slice(0, -2), rows, transB ? rowsB : columnsB], (index) => {
    const lead = index.slice(0, -2);
    const [i, j] = index.slice(-2) as [number, number];
    const term = (k: number) =>
      at(a, [...lead, ...(transA ? [k, i] : [i, k])]) * at(b, [...lead, ...(transB ? [j, k] : [k, j])]);
    return alpha * total(upTo(inner).map(term));
  });
}

const inverseRms = (x: Grid, index: Index, epsilon: number): number => {
  const values = lastAxis(x, index);
  return 1 / Math.sqrt(total(values.map((v) => v * v)) / values.length + epsilon);
};

type Grids = readonly [Grid, Grid, Grid, Grid];
// Attributes are what the operation's own samples hold.
type Reference = (inputs: Grids, attrs: never) => Grid;

const REFERENCES: Readonly<Record<string, Reference>> = {
  constant: (_, { value }: { value: number }) => fill([], () => value),
  constantTensor: (_, { shape, values }: { shape: number[]; values: number[] }) => ({ shape, data: values }),
  range: (_, { size }: { size: number }) => fill([size], ([i]) => i as number),
  dimSize: (_, { size }: { size: number }) => fill([], () => size),

  neg: each((x) => -x),
  exp: each(Math.exp),
  log: each(Math.log),
  sqrt: each(Math.sqrt),
  reciprocal: each((x) => 1 / x),
  tanh: each(Math.tanh),
  sigmoid: each((x) => 1 / (1 + Math.exp(-x))),
  abs: each(Math.abs),
  sign: each(Math.sign),
  sin: each(Math.sin),
  cos: each(Math.cos),
  erf: each((x) => erf(x as number)),
  add: each((a, b) => (a as number) + (b as number)),
  sub: each((a, b) => (a as number) - (b as number)),
  mul: each((a, b) => (a as number) * (b as number)),
  div: each((a, b) => (a as number) / (b as number)),
  pow: each((a, b) => (a as number) ** (b as number)),
  maximum: each(Math.max),
  minimum: each(Math.min),
  less: each((a, b) => Number((a as number) < (b as number))),
  equal: each((a, b) => Number(a === b)),
  where: each((condition, a, b) => (condition === 1 ? a : b) as number),
  cast: each((x) => x),

  sum: reduced(total),
  max: reduced((values) => Math.max(...values)),
  argmax: ([x]) =>
    fill(x.shape.slice(0, -1), (index) => {
      const values = lastAxis(x, [...index, 0]);
      return values.indexOf(Math.max(...values));
    }),

  reshape: ([x], { shape }: { shape: number[] }) => ({ shape, data: x.data }),
  transpose: ([x], { order }: { order: number[] }) =>
    fill(
      order.map((axis) => x.shape[axis] as number),
      (index) =>
        at(
          x,
          x.shape.map((_, axis) => index[order.indexOf(axis)] as number),
        ),
    ),
  expand: ([x], { shape }: { shape: number[] }) => fill(shape, (index) => at(x, index)),
  slice: ([x], { axis, start, end }: { axis: number; start: number; end: number }) =>
    fill(replaced(x.shape, axis, end - start), (index) =>
      at(x, replaced(index, axis, (index[axis] as number) + start)),
    ),
  pad: ([x], { axis, before, after }: { axis: number; before: number; after: number }) => {
    const size = x.shape[axis] as number;
    return fill(replaced(x.shape, axis, before + size + after), (index) => {
      const place = (index[axis] as number) - before;
      return place >= 0 && place < size ? at(x, replaced(index, axis, place)) : 0;
    });
  },
  concat: (inputs, { axis, size }: { axis: number; size: number }) =>
    fill(replaced(inputs[0].shape, axis, size), (index) => {
      let place = index[axis] as number;
      for (const x of inputs) {
        const length = x.shape[axis] as number;
        if (place < length) return at(x, replaced(index, axis, place));
        place -= length;
      }
      return Number.NaN;
    }),

  gather: ([x, index]) =>
    fill([...index.shape, ...x.shape.slice(1)], (place) => {
      const rank = index.shape.length;
      return at(x, [at(index, place.slice(0, rank)), ...place.slice(rank)]);
    }),
  scatterAdd: ([x, index], { rows }: { rows: number }) =>
    fill([rows, ...x.shape.slice(1)], ([row, ...rest]) =>
      total(index.data.map((target, i) => (target === row ? at(x, [i, ...rest]) : 0))),
    ),
  take: ([x, index]) => fill(index.shape, ([row]) => at(x, [row as number, index.data[row as number] as number])),
  /** From the definition alone: a place reads a row, a row is the sum of the places that read it. */
  move([x, to, back, readers], { way }: { way: "move" | "collect" }) {
    const width = x.shape[1] as number;
    if (way === "move") {
      return fill([...to.shape, width], (index) => {
        const from = at(to, index.slice(0, -1));
        return from < 0 ? 0 : at(x, [from, index.at(-1) as number]);
      });
    }
    const listOf = (place: number) =>
      place < to.data.length
        ? [place]
        : upTo(readers.shape[1] as number).map((k) => at(readers, [place - to.data.length, k]));
    return fill([...back.shape, width], ([row, column]) =>
      total(
        listOf(at(back, [row as number]))
          .filter((place) => place >= 0)
          .map((place) => at(x, [place, column as number])),
      ),
    );
  },

  /** The operation's own example: sums so far, and these times y. */
  scan([start, x, y], { index }: { index: number }) {
    const turns = x.shape[0] as number;
    const sumUpTo = (turn: number, at_: Index) => at(start, at_) + total(upTo(turn + 1).map((t) => at(x, [t, ...at_])));
    if (index === 0) return fill(start.shape, (place) => sumUpTo(turns - 1, place));
    return fill(x.shape, ([turn, ...place]) => sumUpTo(turn as number, place) * at(y, place));
  },

  matmul: product,
  matmulAdd: (inputs, attrs: Product) => {
    const ab = product(inputs, attrs);
    return fill(ab.shape, (index) => at(ab, index) + at(inputs[2], index));
  },

  softmax: ([x]) => fill(x.shape, (index) => Math.exp(at(x, index)) / total(lastAxis(x, index).map(Math.exp))),
  rmsNorm: ([x, weight], { epsilon }: { epsilon: number }) =>
    fill(x.shape, (index) => at(x, index) * inverseRms(x, index, epsilon) * at(weight, index.slice(-1))),
  rmsInverse: ([x], { epsilon }: { epsilon: number }) =>
    fill([...x.shape.slice(0, -1), 1], (index) => inverseRms(x, index, epsilon)),
  rotary: ([x, cos, sin], { heads }: { heads: number }) => {
    const half = cos.shape[1] as number;
    return fill(x.shape, ([token, column]) => {
      const [t, place] = [token as number, (column as number) % ((x.shape[1] as number) / heads)];
      if (place >= 2 * half) return at(x, [t, column as number]);
      const pair = place % half;
      const [c, s] = [at(cos, [t, pair]), at(sin, [t, pair])];
      const partner = at(x, [t, (column as number) + (place < half ? half : -half)]);
      return at(x, [t, column as number]) * c + (place < half ? -partner : partner) * s;
    });
  },

  barrier: ([x]) => x,
  apart: ([x]) => x,

  bfloat: each((bits) => {
    const [exponent, fraction] = [(bits >> 7) & 0xff, bits & 0x7f];
    return exponent === 0 ? 0 : (bits >> 15 === 1 ? -1 : 1) * 2 ** (exponent - 127) * (1 + fraction / 128);
  }),
  nibbles: ([x]) =>
    fill([x.shape[0] as number, 2 * (x.shape[1] as number)], ([row, column]) => {
      const half = x.shape[1] as number;
      const byte = at(x, [row as number, (column as number) % half]);
      return (column as number) < half ? byte % 16 : Math.floor(byte / 16);
    }),
  dequantise: ([codes, scales], { zero }: { zero: number }) =>
    fill(codes.shape, ([row, column]) => {
      const group = (codes.shape[1] as number) / (scales.shape[1] as number);
      const scale = at(scales, [row as number, Math.floor((column as number) / group)]);
      return (at(codes, [row as number, column as number]) - zero) * scale;
    }),
  blockProduct: ([x, codes, scales], { bits }: { bits: number }) => {
    const [rows, out, groups, bytes] = [x.shape[0], ...codes.shape] as [number, number, number, number];
    const group = (bytes * 8) / bits;
    const codeAt = (o: number, g: number, k: number) => {
      const byte = at(codes, [o, g, Math.floor((k * bits) / 8)]);
      return bits === 8 ? byte - 128 : (k % 2 === 0 ? byte % 16 : Math.floor(byte / 16)) - 8;
    };
    return fill([rows, out], ([row, o]) =>
      total(
        indices([groups, group]).map(([g, k]) => {
          const [i, j] = [g as number, k as number];
          const weight = codeAt(o as number, i, j) * at(scales, [o as number, i]);
          return at(x, [row as number, i * group + j]) * weight;
        }),
      ),
    );
  },
};

const CASES = Number(process.env.BOOSTER_CONFORMANCE ?? 3);
const device = new Device({ threads: 1 });

/** Whole numbers within the case's bounds: ties for comparisons, zeros for signs. */
function wholeInputs(draw: Random, sample: Sample<unknown>): HostTensor[] {
  return sample.inputs.map((input) => {
    if ("int32" in input) return tensor("int32", input.shape, input.int32);
    if ("bool" in input) return tensor("bool", input.shape, input.bool);
    if ("values" in input) return tensor(input.dtype, input.shape, input.values);
    const [low, high] = [Math.ceil(input.low ?? -2), Math.floor(input.high ?? 2)];
    const values = Array.from({ length: sizeOf(input.shape) }, () => draw.integer(low, high));
    return tensor("float64", input.shape, values);
  });
}

async function expectReference(op: Op, sample: Sample<unknown>, inputs: readonly HostTensor[], tolerance: number) {
  const feeds = Object.fromEntries(inputs.map((value, i) => [`x${i}`, value]));
  const result = await evaluate(device, feeds, (args) => ({
    y: op.rebuild(
      inputs.map((_, i) => args[`x${i}`] as Tensor),
      sample.attrs,
    ),
  }));
  const grids = inputs.map(({ shape, data }) => ({ shape, data: Array.from(data, Number) }));
  // An operation reads as many of the four as it has inputs.
  const expected = (REFERENCES[op.name] as Reference)(grids as unknown as Grids, sample.attrs as never);
  expect(result.y?.shape).toEqual(expected.shape);
  const scale = Math.max(1, ...expected.data.map(Math.abs));
  numbers(result).forEach((value, i) => {
    const wanted = expected.data[i] as number;
    expect(Math.abs(value - wanted) / scale, `element ${i}: ${value} against ${wanted}`).toBeLessThan(tolerance);
  });
}

test("every operation has a reference, and every reference an operation", () => {
  expect(Object.keys(REFERENCES).sort()).toEqual(ops.OPS.map(({ name }) => name).sort());
});

describe.each(ops.OPS.map((op) => [op.name, op] as const))("%s", (name, op) => {
  const draw = drawFrom(`${name} values`);
  const samples = Array.from({ length: CASES }, () => op.samples(draw)).flat();

  test.each(samples.map((sample, i) => [i, sample] as const))("case %i", async (_, sample) => {
    await expectReference(op, sample, sampleInputs(draw, sample, "float64"), 1e-13);
    await expectReference(op, sample, wholeInputs(draw, sample), 1e-13);
    await expectReference(op, sample, sampleInputs(draw, sample, "float32"), 2e-6);
  });
});
