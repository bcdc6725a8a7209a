import { ops, type Tensor } from "../../../autodiff/index.ts";
import { average, total } from "../../sums.ts";

/** Where a condition holds 1, elsewhere 0. */
export const indicator = (condition: Tensor, dtype: Tensor["dtype"]): Tensor =>
  ops.where(condition, ops.constant(1, dtype), 0);

/** For each of some tensors of one shape, how many of them are smaller, entry by entry; of equal ones the first counts as smaller. */
export const ranksOf = (xs: readonly Tensor[]): Tensor[] =>
  xs.map((x, i) =>
    total(
      xs.map((y, j) => {
        const smaller = indicator(ops.less(y, x), x.dtype);
        return j < i ? ops.add(smaller, indicator(ops.equal(y, x), x.dtype)) : smaller;
      }),
    ),
  );

/** Which of the ranks are below a number: 1 or 0. */
export const below = (rank: Tensor, count: number): Tensor => indicator(ops.less(rank, count - 0.5), rank.dtype);

/** The tensors in ascending order, entry by entry. */
export function sorted(xs: readonly Tensor[], ranks: readonly Tensor[] = ranksOf(xs)): Tensor[] {
  return xs.map((_, place) => total(xs.map((x, i) => ops.where(ops.equal(ranks[i] as Tensor, place), x, 0))));
}

/** The middle one, entry by entry; of an even number the mean of the two. */
export function middle(xs: readonly Tensor[]): Tensor {
  const inOrder = sorted(xs);
  const [low, high] = [Math.floor((xs.length - 1) / 2), Math.floor(xs.length / 2)];
  return average([...new Set([low, high])].map((place) => inOrder[place] as Tensor));
}

/** The middle one, entry by entry; of an even number the lower one of the two, as PyTorch has it. */
export const lowerMedian = (xs: readonly Tensor[]): Tensor => sorted(xs)[Math.floor((xs.length - 1) / 2)] as Tensor;
