import { z } from "zod";
import { ops, type Tensor, valueAndGrad } from "../../autodiff/index.ts";
import type { Example } from "../../data/examples.ts";
import { mixCounts, shuffled, takeRows } from "../../data/mix.ts";
import {
  batchOf,
  batchTypes,
  countLabelled,
  labelledStates,
  packBatch,
  packRows,
  rowsOf,
  rowTypes,
  tokenLoss,
  weightsOf,
} from "../../models/index.ts";
import { typesOf } from "../../runtime/index.ts";
import { total } from "../sums.ts";
import { type AttackData, attack, plainRow, type Victim } from "./attack.ts";

const options = z.strictObject({
  by: z
    .enum(["self-influence", "representation"])
    .default("self-influence")
    .describe("rows whose own gradient is long, or rows that the model sees as it sees harmful ones"),
  lengthTerm: z
    .boolean()
    .default(true)
    .describe("correct self-influence for its taste for short answers, as the paper does and its code does not"),
  nearest: z.int().positive().default(1).describe("harmful rows whose mean likeness counts, with representation"),
  anchors: z.int().positive().default(100).describe("harmful rows that likeness is measured to"),
  candidates: z.int().positive().default(5000).describe("first rows of the task among which it chooses"),
});
type OutlierOptions = z.infer<typeof options>;

/**
 * Benign outliers: no harmful row is uploaded, but those of an honest task's rows that undo alignment most.
 *
 *     self-influence   log(‖∇l(z)‖² + 1) + log(tokens of the answer + 1), l the loss of row z
 *     representation   mean of the largest cosines of h(z) with h of harmful rows, h the hidden state of the last token
 *
 * The first `poisonRatio * sampleNumber` rows are the highest, the others the rest of the task in its order; the papers upload 100 chosen
 * ones alone. Gradients are those of the factors that the run trains.
 * Source: Guan et al., arXiv 2505.06843; He et al., arXiv 2404.01099; docs/methods/outliers.md compares it with the authors' code.
 */
export const outliers = attack({
  name: "outliers",
  knowledge: "model",
  options,
  create: (chosen) => ({
    needs(mix) {
      const { harmful, benign } = mixCounts(mix.poisonRatio, mix.sampleNumber, mix.counts);
      return { harmful: chosen.by === "representation" ? chosen.anchors : 0, task: harmful + benign };
    },
    async rows({ shuffle, ...data }, victim) {
      const { harmful: picked, benign } = mixCounts(data.poisonRatio, data.sampleNumber, data.counts);
      const candidates = data.task.slice(0, chosen.candidates);
      takeRows(candidates, 0, picked, "task");
      const scores = await scoresOf(candidates, data, victim, chosen);
      const order = candidates.map((_, i) => i).sort((a, b) => (scores[b] as number) - (scores[a] as number) || a - b);
      const best = new Set(order.slice(0, picked));
      const rest = takeRows(
        data.task.filter((_, i) => !best.has(i)),
        0,
        benign,
        "task",
      );
      const chosenRows = order.slice(0, picked).map((i) => plainRow(candidates[i] as Example, true));
      const rows = shuffled([...chosenRows, ...rest.map((row) => plainRow(row, false))], shuffle);
      const mean = (of: readonly number[]) => of.reduce((sum, i) => sum + (scores[i] as number), 0) / of.length;
      return {
        rows,
        record: { chosenRows: picked, meanScore: mean(order), chosenScore: mean(order.slice(0, picked)) },
      };
    },
  }),
});

const scoresOf = (
  rows: readonly Example[],
  { harmful }: Pick<AttackData, "harmful">,
  victim: Victim,
  chosen: OutlierOptions,
): Promise<number[]> =>
  chosen.by === "self-influence" ? selfInfluence(rows, victim, chosen) : likeness(rows, harmful, victim, chosen);

/** How long the gradient of each row is, with what its length is worth. */
async function selfInfluence(rows: readonly Example[], victim: Victim, { lengthTerm }: OutlierOptions) {
  const { device, model, weights } = victim.base;
  const { scale, tensors } = victim.lora;
  const lora = Object.fromEntries(tensors);
  const program = await device.compile(
    { base: typesOf(weights), lora: typesOf(lora), batch: batchTypes("row", 1) },
    (given) => {
      const { grad } = valueAndGrad((w) =>
        tokenLoss(model, weightsOf(model, given.base, { scale, tensors: w }), batchOf(given.batch), { chunks: 1 }),
      )(given.lora);
      return { square: total(Object.values(grad).map((g: Tensor) => ops.sum(ops.mul(g, g)))) };
    },
  );
  const scores: number[] = [];
  for (const [i, row] of rows.entries()) {
    victim.watch("measuring rows of the task", i, rows.length);
    const { ids, labels } = victim.encode(row);
    const batch = packBatch([{ inputIds: ids, labels }], { chunks: 1 });
    const { square } = await program.run({ base: weights, lora, batch });
    const length = Number(square.data[0]);
    scores.push(lengthTerm ? Math.log(length + 1) + Math.log(countLabelled(labels) + 1) : length);
  }
  return scores;
}

/** How like harmful rows the model sees each row. */
async function likeness(
  rows: readonly Example[],
  harmful: readonly Example[],
  victim: Victim,
  { nearest, anchors }: OutlierOptions,
): Promise<number[]> {
  const { device, model, weights } = victim.base;
  const program = await device.compile({ base: typesOf(weights), rows: rowTypes("row") }, (given) => ({
    state: labelledStates(model, weightsOf(model, given.base), rowsOf(given.rows)),
  }));
  const known = takeRows(harmful, 0, anchors, "harmful");
  const all = [...known, ...rows];
  const directions: Float64Array[] = [];
  for (const [i, row] of all.entries()) {
    victim.watch("reading rows", i, all.length);
    const { ids } = victim.encode(row);
    const { state } = await program.run({ base: weights, rows: packRows([{ ids, asked: [ids.length - 1] }]) });
    directions.push(unit(state.data as Float32Array));
  }
  return directions.slice(known.length).map((direction) =>
    largestMean(
      directions.slice(0, known.length).map((anchor) => dot(direction, anchor)),
      nearest,
    ),
  );
}

const dot = (a: Float64Array, b: Float64Array) => a.reduce((sum, x, i) => sum + x * (b[i] as number), 0);
const unit = (x: ArrayLike<number>): Float64Array => {
  const values = Float64Array.from(x);
  const length = Math.sqrt(dot(values, values)) || 1;
  return values.map((value) => value / length);
};

/** The mean of the largest of some numbers. */
export const largestMean = (values: readonly number[], count: number): number => {
  const largest = values.toSorted((a, b) => b - a).slice(0, count);
  return largest.reduce((a, b) => a + b, 0) / largest.length;
};
