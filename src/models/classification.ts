import type { Device } from "../runtime/index.ts";
import type { Model } from "./architecture.ts";
import { CLASSIFIER, type Classes, classesOf, pooledAt, refuseOtherClass } from "./classes.ts";
import { openReader, type Reader } from "./last-token.ts";
import { type LoadedModel, loadModel } from "./load.ts";
import { createModel } from "./registry.ts";

/** Name that Hugging Face's families give the head; it has no bias. */
export const CLASS_HEAD = "score";

/**
 * The model of a family with a head for classes in the place of that for tokens: `score.weight` `[labels, hidden]`.
 * Source: Hugging Face's `...ForSequenceClassification`, which have the same base model and head in every family.
 */
export function createClassifier(config: object, labels: number, problem?: Classes["problem"]): Model {
  refuseOtherClass(config, CLASSIFIER);
  // A model with one matrix for both ends has no head of its own, so that nothing is left but the base model.
  const base = createModel({ ...config, architectures: [], tie_word_embeddings: true });
  const head = `${CLASS_HEAD}.weight`;
  const { softcap: _, ...rest } = base;
  return {
    ...rest,
    weights: new Map([...base.weights, [head, [labels, base.hiddenSize]]]),
    modules: new Map([...base.modules, [CLASS_HEAD, { role: "head" }]]),
    head,
    ...(problem === "multi_label_classification" ? { marks: true } : {}),
  };
}

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
    private readonly read: Reader,
  ) {}

  /** @throws {BoosterError} what `classesOf` and `loadModel` throw */
  static async load(path: string, device: Device): Promise<SequenceClassifier> {
    const loaded = await loadModel(path, device, {
      create(config) {
        const { labels, problem } = classesOf(config);
        return createClassifier(config as object, labels.length, problem);
      },
    });
    return new SequenceClassifier(loaded, classesOf(loaded.stored.config()), await openReader(loaded));
  }

  /**
   * Logits of each row, in the order of the labels.
   *
   * @param pause called between batches, to end there
   */
  logits(rows: readonly ArrayLike<number>[], pause?: () => void): Promise<number[][]> {
    const { padId } = this.classes;
    return this.read(
      rows.map((ids) => ({ ids, place: pooledAt(ids, padId) })),
      (logits) => Array.from(logits),
      pause,
    );
  }
}
