import { BoosterError } from "../errors.ts";

/** A dimension known only when a program runs: `coefficient` times a product of named sizes, e.g. `9*batch*time`. */
export interface SymbolicDim {
  readonly coefficient: number;
  /** Sorted, never empty. */
  readonly symbols: readonly string[];
}

/** One axis of a symbolic tensor: a number, or a product of named sizes. */
export type Dim = number | SymbolicDim;

/** The shape of a symbolic tensor, e.g. `["tokens", 576]` written as `[dim("tokens"), 576]`. */
export type Shape = readonly Dim[];

/** A named size: `dim("batch")`. */
export const dim = (name: string): Dim => ({ coefficient: 1, symbols: [name] });

const parts = (d: Dim): SymbolicDim => (typeof d === "number" ? { coefficient: d, symbols: [] } : d);

const build = (coefficient: number, symbols: readonly string[]): Dim =>
  symbols.length === 0 || coefficient === 0 ? coefficient : { coefficient, symbols };

/** Product of dimensions: the size of a merged axis. */
export function product(...dims: readonly Dim[]): Dim {
  const factors = dims.map(parts);
  const coefficient = factors.reduce((sofar, factor) => sofar * factor.coefficient, 1);
  return build(coefficient, factors.flatMap(({ symbols }) => symbols).sort());
}

/**
 * Exact quotient of dimensions: the size of what is left when an axis is split.
 *
 * @throws {BoosterError} `SHAPE_MISMATCH` when `divisor` does not divide.
 */
export function quotient(dividend: Dim, divisor: Dim): Dim {
  const a = parts(dividend);
  const b = parts(divisor);
  const symbols = [...a.symbols];
  for (const symbol of b.symbols) {
    const at = symbols.indexOf(symbol);
    if (at < 0) throw indivisible(dividend, divisor);
    symbols.splice(at, 1);
  }
  if (b.coefficient === 0 || a.coefficient % b.coefficient !== 0) throw indivisible(dividend, divisor);
  return build(a.coefficient / b.coefficient, symbols);
}

const indivisible = (dividend: Dim, divisor: Dim) =>
  new BoosterError("SHAPE_MISMATCH", "an axis cannot be split like this", {
    expected: `a multiple of ${showDim(divisor)}`,
    found: showDim(dividend),
  });

/** `9*batch*time`, the way a dimension is written in messages and ONNX files. */
export function showDim(d: Dim): string {
  if (typeof d === "number") return String(d);
  return [...(d.coefficient === 1 ? [] : [String(d.coefficient)]), ...d.symbols].join("*");
}

/** `[batch, 3, 9*time]`. */
export const showShape = (shape: Shape): string => `[${shape.map(showDim).join(", ")}]`;

export const sameDim = (a: Dim, b: Dim): boolean => a === b || showDim(a) === showDim(b);

export const sameShape = (a: Shape, b: Shape): boolean =>
  a.length === b.length && a.every((d, i) => sameDim(d, b[i] as Dim));

/** Number of elements. */
export const shapeSize = (shape: Shape): Dim => product(...shape);

/**
 * The shape that NumPy broadcasting gives, or undefined where the shapes do not fit.
 * A named size fits itself and 1, since nothing else is known of it.
 */
export function broadcastShapes(a: Shape, b: Shape): Shape | undefined {
  const rank = Math.max(a.length, b.length);
  const result: Dim[] = [];
  for (let i = 0; i < rank; i++) {
    const x = a[a.length - rank + i] ?? 1;
    const y = b[b.length - rank + i] ?? 1;
    if (x === 1) result.push(y);
    else if (y === 1 || sameDim(x, y)) result.push(x);
    else return undefined;
  }
  return result;
}

/** Resolves a negative axis and checks the range. */
export function axisOf(axis: number, rank: number, op: string): number {
  const resolved = axis < 0 ? axis + rank : axis;
  if (!Number.isInteger(resolved) || resolved < 0 || resolved >= rank) {
    throw new BoosterError("SHAPE_MISMATCH", `${op}: no such axis`, {
      expected: `an axis of a rank-${rank} tensor`,
      found: String(axis),
    });
  }
  return resolved;
}
