import { z } from "zod";
import { ops, type Tensor, type Tree } from "../../autodiff/index.ts";
import { BoosterError } from "../../errors.ts";
import { adapterOfChanges, changesOf, nameOfA, nameOfB } from "../../models/adapters.ts";
import { columnSquares } from "../../models/observe.ts";
import type { Matrix } from "../../tensor/matrix.ts";
import type { RandomStream } from "../../tensor/random.ts";
import { mapNumbers } from "../../tensor/tensor.ts";
import { type Calibration, type LoraAdapter, type TransformContext, transform } from "../transform.ts";

const options = z.strictObject({
  denseRatio: z.number().min(0).max(1).default(0.1).describe("Share of the entries that is set to zero"),
  score: z
    .enum(["wanda", "magnitude", "random"])
    .default("wanda")
    .describe("What goes: large weights on inputs that harmful data excites, large weights, or any"),
  target: z
    .enum(["lora-factors", "delta", "full"])
    .default("lora-factors")
    .describe("What is pruned: the user's LoRA factors, their product, or the weights with the product added"),
  safeMask: z.boolean().optional().describe("Spare entries that safe answers would prune as well, with score wanda"),
});

/** `|W_ij| sqrt(S_j)`; `|W_ij|` where nothing is known of the inputs. W `[rows, columns]`, S `[columns]`. */
export function pruningScores({ shape: [, columns = 1], data }: Matrix, squares?: ArrayLike<number>): Float64Array {
  const size = (j: number) => (squares === undefined ? 1 : Math.sqrt(squares[j] as number));
  return Float64Array.from(data, (w, at) => Math.abs(w) * size(at % columns));
}

/**
 * Places of the highest scores of each row, all but the `floor(columns (1 - denseRatio))` lowest; among equal scores the later
 * ones. Row-major, ascending.
 */
export function highestOfEachRow(scores: Float64Array, columns: number, denseRatio: number): number[] {
  const kept = Math.floor(columns * (1 - denseRatio));
  const places: number[] = [];
  for (let start = 0; start < scores.length; start += columns) {
    const row = Array.from({ length: columns }, (_, j) => start + j);
    row.sort((a, b) => (scores[a] as number) - (scores[b] as number));
    places.push(...row.slice(kept).sort((a, b) => a - b));
  }
  return places;
}

/** Any `floor(entries * denseRatio)` places, whatever their row. */
const randomPlaces = (entries: number, denseRatio: number, random: RandomStream): number[] =>
  Array.from(random.permutation(entries).subarray(0, Math.floor(entries * denseRatio)));

/**
 * Antidote: finds the weights that matter most for harmful answers and sets them to zero, in every row the same share.
 *
 *     S_j    = mean over harmful rows of the sum over their tokens of x_j^2    x: what goes into the matrix
 *     score  = |W_ij| sqrt(S_j)
 *     W     <- W (1 - mask)                                                   mask: each row's highest scores
 *
 * `safeMask` spares the entries that rank as high on safe rows: mask <- max(0, mask - mask of safe rows).
 * On `lora-factors` x is the linear's input for A and `A x` for B. Inputs are those of the model that is not yet pruned.
 *
 * Source: Huang et al., "Antidote: Post-fine-tuning Safety Alignment for Large Language Models against Harmful Fine-tuning",
 * ICML 2025, arXiv 2408.09600; git-disl/Antidote. `delta` is not in the paper; `full` prunes the matrices that carry LoRA.
 *
 * @example
 * choose(TRANSFORMS, { name: "antidote", denseRatio: 0.05, target: "delta" });
 */
export const antidote = transform({
  name: "antidote",
  label: "Antidote",
  stage: "repair",
  options,
  tried: [{ denseRatio: 0.05 }, { denseRatio: 0.1 }, { denseRatio: 0.25 }, { denseRatio: 0.5 }],
  create: ({ denseRatio, score, target, safeMask }) => ({
    needs: score === "wanda" ? ["harmful", ...(safeMask ? (["alignment"] as const) : [])] : [],
    mustChange: denseRatio > 0,
    ownFactors: target === "lora-factors",
    async apply(context) {
      const squares = score === "wanda" ? await observedSquares(context, "harmful") : undefined;
      const safe = score === "wanda" && safeMask ? await observedSquares(context, "alignment") : undefined;
      const highest = (name: string, matrix: Matrix, of: typeof squares) =>
        highestOfEachRow(pruningScores(matrix, of?.(name)), matrix.shape[1] as number, denseRatio);
      let pruned = 0;
      const placesOf = (name: string, matrix: Matrix): number[] => {
        const places =
          score === "random"
            ? randomPlaces(matrix.data.length, denseRatio, context.random(`antidote/${name}`))
            : highest(name, matrix, squares);
        const spared = new Set(safe === undefined ? [] : highest(name, matrix, safe));
        const left = places.filter((place) => !spared.has(place));
        pruned += left.length;
        return left;
      };
      const adapter =
        target === "lora-factors" ? pruneFactors(context.adapter, placesOf) : pruneWeights(context, target, placesOf);
      return { adapter, report: { pruned } };
    },
  }),
});

/** Mean squares of what goes into each matrix: under a linear's name, and under those of its factors. */
export async function observedSquares(
  context: TransformContext,
  data: Calibration,
): Promise<(name: string) => ArrayLike<number>> {
  const reduce = (linear: string, x: Tensor, params: Tree): Tree => {
    const down = params[nameOfA(linear)];
    if (down === undefined) return {};
    const [outer, inner] = [columnSquares(x), columnSquares(ops.matmul(x, down, { transB: true }))];
    return { [linear]: outer, [nameOfA(linear)]: outer, [nameOfB(linear)]: inner };
  };
  const { sums, rows } = await context.observe(data, context.adapter, { reduce });
  return (name) => {
    const found = sums.get(name);
    if (found !== undefined) return found.data.map((sum) => sum / rows);
    throw new BoosterError("MISSING_WEIGHT", "nothing is known of what goes into a matrix", { expected: name });
  };
}

type PlacesOf = (name: string, matrix: Matrix) => readonly number[];

function pruneFactors({ config, tensors }: LoraAdapter, placesOf: PlacesOf): LoraAdapter {
  const pruned = mapNumbers(tensors, (factor, name) => {
    const data = factor.data.slice();
    for (const place of placesOf(name, factor)) data[place] = 0;
    return data;
  });
  return { config, tensors: pruned };
}

/** Prunes the change itself, or so that the weight with the change is zero at the places. */
function pruneWeights(
  { adapter, weight }: TransformContext,
  target: "delta" | "full",
  placesOf: PlacesOf,
): LoraAdapter {
  const changes = changesOf(adapter);
  for (const [module, change] of changes) {
    const under = target === "full" ? weight(module).data : undefined;
    const whole = { ...change, data: change.data.map((value, at) => value + (under?.[at] ?? 0)) };
    for (const place of placesOf(module, whole)) change.data[place] = -(under?.[place] ?? 0);
  }
  return adapterOfChanges(changes, adapter.config.targetModules);
}
