import { type Device, typesOf } from "../runtime/index.ts";
import type { HostTensor } from "../tensor/tensor.ts";
import type { Model } from "./architecture.ts";
import { packRows, rowsOf, rowTypes } from "./batch.ts";
import { type Classes, classesOf, pooledAt } from "./classes.ts";
import { type LoadedModel, loadModel } from "./load.ts";
import { createModel } from "./registry.ts";
import { labelledStates } from "./states.ts";
import { weightsOf } from "./weights.ts";

/** Name that Hugging Face's families give the head; it has no bias. */
export const CLASS_HEAD = "score";

/**
 * The model of a family with a head for classes in the place of that for tokens: `score.weight` `[labels, hidden]`.
 * Source: Hugging Face's `...ForSequenceClassification`, which have the same base model and head in every family.
 */
export function createClassifier(config: object, labels: number): Model {
  // A model with one matrix for both ends has no head of its own, so that nothing is left but the base model.
  const base = createModel({ ...config, architectures: [], tie_word_embeddings: true });
  const head = `${CLASS_HEAD}.weight`;
  const { softcap: _, ...rest } = base;
  return {
    ...rest,
    weights: new Map([...base.weights, [head, [labels, base.hiddenSize]]]),
    modules: new Map([...base.modules, [CLASS_HEAD, { role: "head" }]]),
    head,
  };
}

/** Texts that are classified at once. */
const BATCH = 16;

/**
 * A classifier that is ready to read.
 *
 * @example
 * const classifier = await SequenceClassifier.load("models/beaver-dam-7b", new Device());
 * const [logits] = await classifier.logits([[1, 5, 9]]);
 */
export class SequenceClassifier {
  private constructor(
    readonly loaded: LoadedModel,
    readonly classes: Classes,
    private readonly read: (rows: readonly ArrayLike<number>[]) => Promise<HostTensor>,
  ) {}

  /** @throws {BoosterError} what `classesOf` and `loadModel` throw */
  static async load(path: string, device: Device): Promise<SequenceClassifier> {
    const loaded = await loadModel(path, device, (config) =>
      createClassifier(config as object, classesOf(config).labels.length),
    );
    return SequenceClassifier.of(loaded, classesOf(loaded.stored.config()));
  }

  static async of(loaded: LoadedModel, classes: Classes): Promise<SequenceClassifier> {
    const { model, weights, device } = loaded;
    const program = await device.compile({ base: typesOf(weights), rows: rowTypes("rows") }, ({ base, rows }) => {
      const within = weightsOf(model, base);
      return { logits: within.logits(labelledStates(model, within, rowsOf(rows))) };
    });
    return new SequenceClassifier(loaded, classes, async (rows) => {
      const packed = packRows(rows.map((ids) => ({ ids, asked: [pooledAt(ids, classes.padId)] })));
      return (await program.run({ base: weights, rows: packed })).logits;
    });
  }

  /**
   * Logits of each row, in the order of the labels. Rows of like length are read together.
   *
   * @param pause called between batches, to end there
   */
  async logits(rows: readonly ArrayLike<number>[], pause: () => void = () => undefined): Promise<number[][]> {
    const order = rows.map((_, row) => row).sort((a, b) => rows[b]!.length - rows[a]!.length || a - b);
    const found: number[][] = [];
    for (let start = 0; start < order.length; start += BATCH) {
      pause();
      const batch = order.slice(start, start + BATCH);
      const { data } = await this.read(batch.map((row) => rows[row]!));
      const labels = data.length / batch.length;
      batch.forEach((row, i) => {
        found[row] = Array.from({ length: labels }, (_, label) => Number(data[i * labels + label]));
      });
    }
    return found;
  }
}
