import { join } from "node:path";
import { z } from "zod";
import { file, model } from "../../choice.ts";
import { fitting } from "../../errors.ts";
import { readSmallFile } from "../../formats/byte-source.ts";
import { placeOf } from "../../formats/hub/cache.ts";
import { decodeStrictJson } from "../../formats/strict-json.ts";
import type { Tokenizer } from "../../formats/tokenizer.ts";
import { classesOf } from "../../models/classes.ts";
import { openSource } from "../../models/source.ts";
import type { Device } from "../../runtime/index.ts";
import { type Rate, rate } from "../rate.ts";
import { type Asking, encodeBeaverDam, flagged, judging } from "./beaver-dam.ts";
import { encodeConversation } from "./conversation.ts";
import type { Exchange, Moderator, Verdict } from "./moderator.ts";

/** A moderator that `booster moderator train` made. */
export const SequenceClassifierOptions = z.strictObject({
  model: file(model(z.string().min(1).describe("Run of booster moderator train, or the model folder that it made"))),
});

/** What such a moderator's folder holds beside the model. */
export const MODERATOR_FILE = "moderator.json";
const MAX_BYTES = 1_000_000;

/** Forms in which a classifier is shown an exchange: the model's own template, or as beaver-dam-7b reads it. */
const FORMS = {
  chat: (tokenizer: Tokenizer, exchange: Exchange, maxTokens: number) =>
    encodeConversation(tokenizer, exchange).slice(0, maxTokens),
  "beaver-dam": encodeBeaverDam,
} as const;
export type Form = keyof typeof FORMS;

/** Token ids of an exchange, cut at the end. Throws what encoding throws. */
export const encodeIn = (form: Form, tokenizer: Tokenizer, exchange: Exchange, maxTokens: number): number[] =>
  FORMS[form](tokenizer, exchange, maxTokens);

const Share = z.looseObject({ count: z.int().min(0), total: z.int().min(1) });
const File = z.looseObject({
  version: z.literal(1),
  form: z.enum(["chat", "beaver-dam"]),
  maxTokens: z.int().min(1),
  threshold: z.number().min(0).max(1),
  figures: z.looseObject({ accuracy: Share, precision: Share.optional(), recall: Share.optional() }),
});

/** The verdict of a classifier with these labels: of two that exclude each other by the second, else by any. */
export const verdictBy = (
  labels: readonly string[],
  problem: ReturnType<typeof classesOf>["problem"],
  threshold: number,
): ((scores: readonly number[]) => Verdict) =>
  problem === "multi_label_classification"
    ? (scores) => flagged(labels, scores, threshold)
    : ([, harmful = 0]) => ({ harmful: harmful > threshold, probability: harmful });

/**
 * A moderator that was trained on labelled answers, with what it was measured on.
 *
 * @throws {BoosterError} `FILE_NOT_FOUND`, `CLASSIFIER_FILE` where there is no such moderator, what `openSource` throws, and while judging what loading throws
 * @example
 * const moderator = sequenceClassifier({ model: "runs/moderator" }, new Device());
 * await moderator.judge([{ prompt, answer }]); // [{ harmful: true, probability: 0.97 }]
 */
export function sequenceClassifier({ model }: z.output<typeof SequenceClassifierOptions>, device: Device): Moderator {
  const { base } = openSource(model);
  const { labels, problem } = classesOf(base.config());
  const where = join(placeOf(base.path), MODERATOR_FILE);
  const { form, maxTokens, threshold, figures } = fitting(
    File,
    decodeStrictJson(readSmallFile(where, MAX_BYTES), where),
    "CLASSIFIER_FILE",
    "this is no moderator that booster moderator train made",
    { where },
  );
  const asking: Asking = {
    maxTokens,
    encode: (...given) => encodeIn(form, ...given),
    verdict: verdictBy(labels, problem, threshold),
  };
  const again = ({ count, total }: Pick<Rate, "count" | "total">) => rate(count, total);
  const percent = (share: Pick<Rate, "count" | "total"> | undefined) =>
    share === undefined ? "-" : `${again(share).percent.toFixed(1)} %`;
  return {
    name: "sequence-classifier",
    describe: () => ({
      method: `${model}, trained on labelled answers, flags above ${threshold}; on held-out ones precision ${percent(figures.precision)}, recall ${percent(figures.recall)}`,
      accuracy: again(figures.accuracy),
    }),
    ...(problem === "multi_label_classification" ? { tells: (kind) => labels.includes(kind) } : {}),
    ...judging(model, asking, problem, device),
  };
}
