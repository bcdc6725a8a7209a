import { z } from "zod";
import { BoosterError } from "../../errors.ts";
import { adapterOfChanges, changesOf } from "../../models/adapters.ts";
import { gram } from "../../models/observe.ts";
import { type HostTensor, zeros } from "../../tensor/tensor.ts";
import { transform } from "../transform.ts";

const options = z.strictObject({
  s: z
    .number()
    .min(0)
    .default(0.1)
    .describe("How much safety may be paid for the user's change: 0 leaves the aligned weights"),
  ignored: z
    .number()
    .min(0)
    .max(1)
    .default(0.15)
    .describe("Share of the entries that is never taken, those that cost most"),
  blockSize: z.int().positive().default(2048).describe("Columns among which the budget is spent together"),
  damping: z.number().min(0).default(0.01).describe("Part of the mean diagonal that is added to the Hessian's"),
});
export type SafeDeltaOptions = z.infer<typeof options>;

type Matrix = HostTensor<"float64">;

/** Columns after which those that follow make up for what was taken. */
const SUB_BLOCK = 4;
/** Rows of the matrices that `s` was tuned on. */
const REFERENCE_ROWS = 4096;

/**
 * Upper Cholesky factor U of the inverse, `H^-1 = U' U`, of a Hessian with zeros on its diagonal replaced by 1 and the
 * diagonal damped. H `[in, in]`.
 *
 * @throws {BoosterError} `NOT_POSITIVE_DEFINITE`
 */
export function inverseFactor(hessian: Matrix, damping: number): Matrix {
  const [size = 0] = hessian.shape;
  const h = hessian.data.slice();
  let trace = 0;
  for (let i = 0; i < size; i++) {
    if (h[i * size + i] === 0) h[i * size + i] = 1;
    trace += h[i * size + i] as number;
  }
  for (let i = 0; i < size; i++) h[i * size + i]! += (damping * trace) / size;
  // H = R R' with R upper triangular, from the last row up; then U is the inverse of R.
  const r = new Float64Array(size * size);
  for (let j = size - 1; j >= 0; j--) {
    for (let i = j; i >= 0; i--) {
      let sum = h[i * size + j] as number;
      for (let k = j + 1; k < size; k++) sum -= (r[i * size + k] as number) * (r[j * size + k] as number);
      if (i < j) r[i * size + j] = sum / (r[j * size + j] as number);
      else if (sum > 0) r[j * size + j] = Math.sqrt(sum);
      else {
        throw new BoosterError(
          "NOT_POSITIVE_DEFINITE",
          "the inputs of a linear layer leave directions without any size",
          {
            expected: "a positive definite Hessian",
            hint: "Give more calibration rows, or more damping.",
          },
        );
      }
    }
  }
  const u = zeros("float64", [size, size]);
  for (let j = 0; j < size; j++) {
    u.data[j * size + j] = 1 / (r[j * size + j] as number);
    for (let i = j - 1; i >= 0; i--) {
      let sum = 0;
      for (let k = i + 1; k <= j; k++) sum += (r[i * size + k] as number) * (u.data[k * size + j] as number);
      u.data[i * size + j] = -sum / (r[i * size + i] as number);
    }
  }
  return u;
}

export interface SafeDelta {
  /** `[out, in]` */
  readonly weight: Matrix;
  /** Entries that have the fine-tuned value. */
  readonly taken: number;
}

/**
 * One matrix: fine-tuned entries are taken from the cheapest column on until the budget is spent, and the columns that
 * follow make up for them.
 *
 * @param aligned `[out, in]`
 * @param tuned `[out, in]`, after fine-tuning
 * @param hessian `[in, in]`, 2 / rows * the sum over rows and tokens of x x'
 */
export function safeDeltaOf(aligned: Matrix, tuned: Matrix, hessian: Matrix, chosen: SafeDeltaOptions): SafeDelta {
  const [rows = 0, columns = 0] = aligned.shape;
  const { data: u } = inverseFactor(hessian, chosen.damping);
  const pivot = (column: number) => u[column * columns + column] as number;
  const weight = { ...aligned, data: aligned.data.slice() };
  let taken = 0;
  for (let start = 0; start < columns; start += chosen.blockSize) {
    const end = Math.min(start + chosen.blockSize, columns);
    const hit = cheapest(weight, tuned, pivot, start, end, chosen);
    taken += hit.size;
    for (let sub = start; sub < end; sub += SUB_BLOCK) {
      const last = Math.min(sub + SUB_BLOCK, end);
      for (let row = 0; row < rows; row++) {
        const at = row * columns;
        for (let column = sub; column < last; column++) {
          if (!hit.has(at + column)) continue;
          const value = tuned.data[at + column] as number;
          const error = ((weight.data[at + column] as number) - value) / pivot(column);
          weight.data[at + column] = value;
          for (let later = last; later < columns; later++)
            weight.data[at + later]! -= error * u[column * columns + later]!;
        }
      }
    }
  }
  return { weight, taken };
}

/** Places whose fine-tuned value is taken: in the order of their column's `1 / U_mm^2`, while their costs fit the budget. */
function cheapest(
  weight: Matrix,
  tuned: Matrix,
  pivot: (column: number) => number,
  start: number,
  end: number,
  { s, ignored }: SafeDeltaOptions,
): Set<number> {
  const [rows = 0, columns = 0] = weight.shape;
  const price = (column: number) => 1 / pivot(column) ** 2;
  const order = Array.from({ length: end - start }, (_, i) => start + i).sort((a, b) => price(a) - price(b));
  const meanPrice = order.reduce((sum, column) => sum + price(column), 0) / order.length;
  const budget = (meanPrice * (s / 2) * rows) / REFERENCE_ROWS;
  const entries = rows * order.length;
  const allowed = entries - Math.floor(ignored * entries);
  const hit = new Set<number>();
  let cost = 0;
  for (const column of order) {
    for (let row = 0; row < rows; row++) {
      const place = row * columns + column;
      cost += ((tuned.data[place] as number) - (weight.data[place] as number)) ** 2 * price(column);
      if (hit.size === allowed || cost > budget) return hit;
      hit.add(place);
    }
  }
  return hit;
}

/**
 * Safe Delta: of the user's change, entries are taken whose harm to safety is small, and the other weights make up for it.
 *
 *     H = 2 / N * sum of x x' over the tokens of N safe rows, U' U = H^-1
 *     cost of an entry = (W_tuned - W)^2 / U_mm^2, taken while the sum is at most mean(1 / U_mm^2) * s / 2 * rows / 4096
 *     w_later <- w_later - (w - w_tuned) / U_mm * U[m, later]     for the entries that are taken
 *
 * Only the matrices that carry the adapter are looked at: all others have no change. Equal columns are taken row by row.
 * Source: Safe Delta, ICML 2025, arXiv 2505.12038; ColinLu50/SafeDelta.
 *
 * @throws {BoosterError} `NOT_POSITIVE_DEFINITE`
 * @example
 * choose(TRANSFORMS, { name: "safe-delta", s: 0.2 }).needs; // ["alignment"]
 */
export const safeDelta = transform({
  name: "safe-delta",
  label: "Safe Delta",
  stage: "repair",
  options,
  tried: [{ s: 0.01 }, { s: 0.1 }, { s: 1 }, { s: 10 }],
  create: (chosen) => ({
    needs: ["alignment"],
    mustChange: false,
    async apply({ adapter, weight, observe }) {
      const changes = changesOf(adapter);
      const { sums, rows } = await observe("alignment", undefined, {
        reduce: (linear, x) => (changes.has(linear) ? { [linear]: gram(x) } : {}),
      });
      const kept = new Map<string, Matrix>();
      let [taken, entries] = [0, 0];
      for (const [module, change] of changes) {
        const aligned: Matrix = { ...change, data: Float64Array.from(weight(module).data) };
        const tuned = { ...change, data: change.data.map((value, i) => value + (aligned.data[i] as number)) };
        const seen = sums.get(module) as Matrix;
        const hessian = { ...seen, data: seen.data.map((sum) => (2 * sum) / rows) };
        const found = safeDeltaOf(aligned, tuned, hessian, chosen);
        kept.set(module, { ...change, data: found.weight.data.map((value, i) => value - (aligned.data[i] as number)) });
        taken += found.taken;
        entries += change.data.length;
      }
      return { adapter: adapterOfChanges(kept, adapter.config.targetModules), report: { taken, entries } };
    },
  }),
});
