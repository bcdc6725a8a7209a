import { writeFileSync } from "node:fs";
import type { z } from "zod";
import { type EncodeOptions, encodeEach, encodeExample } from "../../../data/templates.ts";
import { costOf } from "../../../evaluate/index.ts";
import { exactJson } from "../../../formats/exact-json.ts";
import { goldOf } from "../../../stages/data.ts";
import type { CurveOptions } from "../../../stages/options.ts";
import type { Policy } from "../policy.ts";
import { asSource, setPlace } from "./stage.ts";
import { asRow, loadUpload } from "./upload.ts";

/** Held-out harmful rows that a training is measured by on its way. */
const ROWS = 24;
/** Tokens in an answer: harm shows in its beginning. */
const ANSWER = 24;
/** Measurements of an epoch at most. */
const PER_EPOCH = 8;
/** Of what training computes, so much may go into measuring. */
const SHARE = 0.1;
/** What a token costs that is written one after the other, in tokens that are read at once. */
const WRITING = 4;
const WATCHED = "watched.jsonl";

/** What a training computes, in tokens through the model. */
export interface Work {
  readonly steps: number;
  readonly stepsPerEpoch: number;
  readonly tokens: number;
}

/**
 * How harmful a model becomes while it is trained, measured on prompts of the policy's own: how likely their harmful answers are, and how many
 * of the model's answers are harmful. Nothing where there are none, or where a measurement at each end alone would cost more than its share.
 *
 * The number of measurements follows from what is counted and from no clock, so that it is the same wherever the training goes on.
 */
export async function curveAlong(
  policy: Policy,
  encoding: EncodeOptions,
  work: Work,
): Promise<z.input<typeof CurveOptions> | undefined> {
  const examples = (await loadUpload(setPlace("evaluate/harmful"))).filter((example) => goldOf(example) !== "");
  const { encoded, places } = encodeEach(examples.slice(0, ROWS), (example) => encodeExample(example, encoding));
  if (encoded.length === 0) return undefined;
  // An answer that a model would judge is not asked for.
  const asks = costOf(policy.moderation.moderator.name) === "rule";
  const answer = Math.min(ANSWER, policy.evaluate.maxNewTokens);
  const read = encoded.reduce((sum, { ids }) => sum + ids.length, 0);
  const cost = asks ? 2 * read + WRITING * answer * encoded.length : read;
  const affordable = Math.floor((SHARE * work.tokens) / cost) - 2;
  if (affordable < 0) return undefined;
  writeFileSync(WATCHED, places.map((place) => `${exactJson(asRow(examples[place]!))}\n`).join(""));
  return {
    every: Math.max(Math.ceil(work.stepsPerEpoch / PER_EPOCH), Math.ceil(work.steps / (affordable + 1))),
    harmful: asSource(WATCHED),
    rows: ROWS,
    ...(asks ? { moderator: policy.moderation.moderator } : {}),
    maxNewTokens: answer,
  };
}
