import { ops } from "../autodiff/index.ts";
import { BoosterError, stopIfAsked } from "../errors.ts";
import {
  type Adapter,
  batchOf,
  batchTypes,
  countLabelled,
  type Example,
  labelledHits,
  packBatch,
  weightsOf,
} from "../models/index.ts";
import type { LoadedModel, NamedWeights } from "../models/load.ts";
import { typesOf } from "../runtime/index.ts";
import type { Evaluation, MetricsRow } from "../train/index.ts";
import { type Encoding, encodeAll, loadDataSet, teller, trainable } from "./data.ts";
import { heldOutLoss } from "./held-out-loss.ts";
import type { ValidationOptions } from "./options.ts";
import { lossChunks, type Trainee } from "./training-run.ts";
import type { Context } from "./workbench.ts";

/** Rows of one call. */
const BATCH = 32;

/** Share of the labelled tokens of rows that are the likeliest ones, with these tensors on the model. @throws {BoosterError} `STOPPED` */
type TokenAccuracy = (tensors: NamedWeights, rows: readonly Example[], signal?: AbortSignal) => Promise<number>;

async function tokenAccuracy(
  { device, model, weights: base }: Pick<LoadedModel, "device" | "model" | "weights">,
  { scale, tensors: types }: Adapter<NamedWeights>,
): Promise<TokenAccuracy> {
  const chunks = lossChunks(model.vocabSize);
  const inputs = { base: typesOf(base), tensors: typesOf(types), batch: batchTypes("rows", chunks) };
  const program = await device.compile(inputs, (given) => {
    const weights = weightsOf(model, given.base, { scale, tensors: given.tensors });
    return { hits: ops.sum(labelledHits(model, weights, batchOf(given.batch), chunks)) };
  });
  return async (tensors, rows, signal) => {
    const totalLabelled = rows.reduce((sum, { labels }) => sum + countLabelled(labels), 0);
    let hits = 0;
    for (let start = 0; start < rows.length; start += BATCH) {
      stopIfAsked(signal, "measuring");
      const batch = packBatch(rows.slice(start, start + BATCH), { chunks, totalLabelled });
      hits += Number((await program.run({ base, tensors, batch })).hits.data[0]);
    }
    return hits / totalLabelled;
  };
}

/** Hash of the rows that are not trained on, and what is measured along the way. */
export interface Validation {
  readonly hashes: Readonly<Record<string, string>>;
  evaluation(trainee: Trainee): Promise<Evaluation>;
}

/**
 * How well a task is learnt, in rows of metrics.jsonl: `trainAccuracy` of the tokens of the batch that comes next, `validLoss` and
 * `validAccuracy` on the first held-out rows, and at an epoch's end `fullValidLoss` and `fullValidAccuracy` on all of them.
 *
 * @param trained the rows that are trained on
 */
export async function openValidation(
  options: ValidationOptions,
  encoding: Encoding,
  trained: readonly Example[],
  context: Context,
): Promise<Validation> {
  const held = options.data && (await loadDataSet(options.data, [], teller(context.emit, "validation.data")));
  const rows = held === undefined ? [] : trainable(encodeAll(held.examples, encoding).rows);
  const some = rows.slice(0, options.rows);
  return {
    hashes: held === undefined ? {} : { validation: held.record.sha256 },
    async evaluation({ base, scale, trained: weightsNow, batches }) {
      const adapter = { scale, tensors: await weightsNow() };
      const accuracy = await tokenAccuracy(base, adapter);
      const loss = await heldOutLoss(base, adapter, lossChunks(base.model.vocabSize));
      const endsEpoch = (step: number): boolean => step > 0 && step % batches.stepsPerEpoch === 0;
      const measure = async (step: number, signal: AbortSignal | undefined): Promise<Record<string, number>> => {
        const weights = await weightsNow();
        const next = Array.from(batches.batch(step), (row) => trained[row] as Example);
        const values: Record<string, number> = { trainAccuracy: await accuracy(weights, next, signal) };
        if (rows.length === 0) return values;
        values.validLoss = await loss(weights, some, signal);
        values.validAccuracy = await accuracy(weights, some, signal);
        if (!endsEpoch(step)) return values;
        values.fullValidLoss = await loss(weights, rows, signal);
        values.fullValidAccuracy = await accuracy(weights, rows, signal);
        return values;
      };
      return {
        due: (step) => step % options.every === 0 || endsEpoch(step),
        run: (step, signal) => unlessStopped(measure(step, signal)),
        enough: (measured) => options.patience !== undefined && hasRisen(measured, options.patience),
      };
    },
  };
}

/** Whether so many ends of epochs have passed since the lowest loss of all held-out rows. */
export function hasRisen(measured: readonly MetricsRow[], patience: number): boolean {
  const losses = measured.flatMap(({ fullValidLoss: loss }) => (typeof loss === "number" ? [loss] : []));
  return losses.length > patience && losses.length - 1 - losses.indexOf(Math.min(...losses)) >= patience;
}

/** What was measured; undefined where it was cut short. */
export async function unlessStopped<T>(measuring: Promise<T>): Promise<T | undefined> {
  try {
    return await measuring;
  } catch (error) {
    if (error instanceof BoosterError && error.code === "STOPPED") return undefined;
    throw error;
  }
}

/** Several measurements as one: those that are due are taken. */
export const together = (evaluations: readonly Evaluation[]): Evaluation => ({
  due: (step) => evaluations.some((each) => each.due(step)),
  enough: (rows) => evaluations.some((each) => each.enough?.(rows) === true),
  async run(step, signal) {
    const due = evaluations.filter((each) => each.due(step));
    const values: Record<string, number> = {};
    for (const each of due.length === 0 ? evaluations : due) {
      const measured = await each.run(step, signal);
      if (measured === undefined) return undefined;
      Object.assign(values, measured);
    }
    return values;
  },
});
