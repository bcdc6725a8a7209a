import { BoosterError } from "../errors.ts";
import { LANGUAGE } from "../models/classes.ts";
import { CLASS_HEAD, createClassifier } from "../models/classification.ts";
import type { LoadedModel } from "../models/load.ts";
import { MOST_LABELS, marksOf } from "../nn/index.ts";
import { RandomStream } from "../tensor/random.ts";
import { tensor } from "../tensor/tensor.ts";

/** A row whose verdict is known. */
export interface Known {
  readonly where: string;
  readonly prompt: string;
  readonly answer: string;
  readonly harmful: boolean;
  readonly categories: readonly string[] | undefined;
}

/** What a moderator learns to tell: its labels, and whether several may hold. */
export interface Kinds {
  readonly labels: readonly string[];
  readonly problem: "multi_label_classification" | "single_label_classification";
  /** What a row is to learn: its class, or marks. */
  of(row: Known): number;
}

/** Kind of harmful rows that name none, where others do. */
const OTHER = "other";
/** As Hugging Face's models begin, whatever `initializer_range` says. */
const HEAD_WIDTH = 0.02;

/**
 * Kinds of harm where the rows name at least two, else harmful or not.
 *
 * @throws {BoosterError} `CLASSIFIER_DATA` for more kinds than there is room for
 */
export function kindsOf(rows: readonly Known[]): Kinds {
  const namesOf = ({ harmful, categories = [] }: Known) => (harmful && categories.length === 0 ? [OTHER] : categories);
  const named = rows.some(({ categories = [] }) => categories.length > 0);
  const labels = named ? [...new Set(rows.flatMap(namesOf))].sort() : [];
  if (labels.length > MOST_LABELS) {
    throw new BoosterError("CLASSIFIER_DATA", "there are too many kinds of harm", {
      expected: `at most ${MOST_LABELS}`,
      found: `${labels.length}`,
    });
  }
  if (labels.length < 2) {
    return {
      labels: ["safe", "harmful"],
      problem: "single_label_classification",
      of: ({ harmful }) => Number(harmful),
    };
  }
  return {
    labels,
    problem: "multi_label_classification",
    of: (row) => marksOf(labels.map((label) => namesOf(row).includes(label))),
  };
}

/** config.json of a classifier on a language model. */
export function classifierConfig(config: object, { labels, problem }: Kinds, padId: number | undefined): object {
  const { architectures, model_type: type, dtype: _, ...rest } = config as Record<string, unknown>;
  const [causal] = Array.isArray(architectures) ? architectures.map(String) : [];
  const family =
    causal?.replace(new RegExp(`(${LANGUAGE.join("|")})$`), "") ?? String(type).replace(/^./, (a) => a.toUpperCase());
  return {
    ...rest,
    model_type: type,
    architectures: [`${family}ForSequenceClassification`],
    id2label: Object.fromEntries(labels.entries()),
    label2id: Object.fromEntries(labels.map((label, id) => [label, id])),
    problem_type: problem,
    ...(padId === undefined ? {} : { pad_token_id: padId }),
    torch_dtype: "float32",
  };
}

/** A language model with a fresh head for classes in the place of its own. */
export async function withClassHead(base: LoadedModel, { labels, problem }: Kinds, seed: number): Promise<LoadedModel> {
  const model = createClassifier(base.stored.config() as object, labels.length, problem);
  const random = new RandomStream(seed, `weights/${CLASS_HEAD}`);
  const values = Float32Array.from(
    { length: labels.length * model.hiddenSize },
    (_, i) => HEAD_WIDTH * random.normal(i),
  );
  const head = tensor("float32", [labels.length, model.hiddenSize], values);
  return {
    ...base,
    model,
    weights: { ...base.weights, [model.head]: await base.device.upload(head) },
    load: (name) => (name === model.head ? head : base.load(name)),
  };
}
