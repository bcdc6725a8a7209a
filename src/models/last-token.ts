import { typesOf } from "../runtime/index.ts";
import type { LoadedModel } from "./load.ts";
import { packRows, rowsOf, rowTypes } from "./rows.ts";
import { labelledStates } from "./states.ts";
import { weightsOf } from "./weights.ts";

/** Rows that are read at once. */
const BATCH = 16;

/** A row of token ids and the place whose logits are asked for; by default its last one. */
export interface Asked {
  readonly ids: ArrayLike<number>;
  readonly place?: number;
}

/** What `take` makes of each row's logits, in the order of the rows; `pause` is called between batches, to end there. */
export type Reader = <T>(
  rows: readonly Asked[],
  take: (logits: ArrayLike<number>, row: number) => T,
  pause?: () => void,
) => Promise<T[]>;

/**
 * A model that reads rows without padding and says what its head makes of one place of each. Rows of like length are read together.
 *
 * @example
 * const read = await openReader(await loadModel("models/smollm2", new Device()));
 * await read([{ ids: [1, 5, 9] }], (logits) => logits[3]);
 */
export async function openReader({ model, weights, device }: LoadedModel): Promise<Reader> {
  const program = await device.compile({ base: typesOf(weights), rows: rowTypes("rows") }, ({ base, rows }) => {
    const within = weightsOf(model, base);
    return { logits: within.logits(labelledStates(model, within, rowsOf(rows))) };
  });
  return async (rows, take, pause) => {
    const order = [...rows.entries()].sort(([i, a], [j, b]) => b.ids.length - a.ids.length || i - j);
    const found = new Array(rows.length);
    for (let start = 0; start < order.length; start += BATCH) {
      pause?.();
      const batch = order.slice(start, start + BATCH);
      const packed = packRows(batch.map(([, { ids, place = ids.length - 1 }]) => ({ ids, asked: [place] })));
      const { data } = (await program.run({ base: weights, rows: packed })).logits;
      const width = data.length / batch.length;
      for (const [i, [row]] of batch.entries()) {
        found[row] = take((data as Float32Array).subarray(i * width, (i + 1) * width), row);
      }
    }
    return found;
  };
}
