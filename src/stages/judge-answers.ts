import { z } from "zod";
import { oneOf } from "../choice.ts";
import { LabelledSource, loadLabelled } from "../data/labelled.ts";
import {
  type Agreement,
  agreementOf,
  checkJudged,
  isJudged,
  MODERATORS,
  type Moderator,
  type ModeratorDescription,
  openModerator,
} from "../evaluate/index.ts";
import { resolveReferences } from "../hub/resolve.ts";
import { type Measured, measure, withVerdicts } from "./moderator-report.ts";
import { DeviceChoice, parseOptions } from "./options.ts";
import { type Context, Workbench } from "./workbench.ts";

/** A moderator against answers whose verdict is known. */
export const TestModeratorOptions = z.strictObject({
  moderator: oneOf(MODERATORS).describe("Who judges the answers, with its own settings"),
  data: LabelledSource.describe("Answers to prompts, each with a verdict"),
  ...DeviceChoice.shape,
});

/** Two moderators against each other. */
export const AgreeOptions = z.strictObject({
  first: oneOf(MODERATORS).describe("One moderator, with its own settings"),
  second: oneOf(MODERATORS).describe("The other one"),
  answers: LabelledSource.describe("Prompts and answers; verdicts of their own are not used"),
  ...DeviceChoice.shape,
});

type Described = ModeratorDescription & { readonly name: string };
const described = (moderator: Moderator): Described => ({ name: moderator.name, ...moderator.describe() });

/** How well a moderator judges. */
export interface ModeratorTest extends Measured {
  readonly moderator: Described;
}

/**
 * Measures a moderator on answers whose verdict is known: accuracy, precision, recall, F1 and AUC with 95 % intervals, by kind of harm where both
 * name them.
 *
 * @throws {BoosterError} `CLASSIFIER_DATA` for a row without a verdict, `JUDGE_UNRELIABLE`, and what opening, loading and judging throw
 * @example
 * (await testModerator({ moderator: "refusal-phrases", data: "labelled.jsonl" })).figures.accuracy.percent;
 */
export async function testModerator(
  options: z.input<typeof TestModeratorOptions>,
  context: Context = {},
): Promise<ModeratorTest> {
  const parsed = parseOptions(TestModeratorOptions, options, "moderator test");
  const chosen = await resolveReferences(TestModeratorOptions, parsed, context);
  const { device } = context.bench ?? new Workbench(chosen);
  const moderator = openModerator(chosen.moderator, { device });
  const rows = withVerdicts((await loadLabelled(chosen.data)).rows);
  context.emit?.({ type: "work", text: `judging ${rows.length} answers` });
  const measured = measure(moderator, rows, await moderator.judge(rows, context.signal));
  return { moderator: described(moderator), ...measured };
}

/** What two moderators say of the same answers. */
export interface ModeratorAgreement extends Agreement {
  readonly first: Described;
  readonly second: Described;
  /** Answers that one of them did not judge. */
  readonly unjudged?: number;
}

/**
 * How far two moderators agree on the same answers: share of equal verdicts, Cohen's kappa, and the table of both.
 *
 * @throws {BoosterError} `JUDGE_UNRELIABLE`, and what opening, loading and judging throw
 * @example
 * (await agree({ first: "world", second: "refusal-phrases", answers: "answers.jsonl" })).kappa?.value;
 */
export async function agree(options: z.input<typeof AgreeOptions>, context: Context = {}): Promise<ModeratorAgreement> {
  const parsed = parseOptions(AgreeOptions, options, "moderator agree");
  const chosen = await resolveReferences(AgreeOptions, parsed, context);
  const { device } = context.bench ?? new Workbench(chosen);
  const [first, second] = [chosen.first, chosen.second].map((named) => openModerator(named, { device }));
  const { rows } = await loadLabelled(chosen.answers);
  const judge = async (moderator: Moderator) => {
    context.emit?.({ type: "work", text: `${moderator.name} judges ${rows.length} answers` });
    const judgements = await moderator.judge(rows, context.signal);
    checkJudged(moderator, judgements);
    return judgements;
  };
  const [ones, others] = [await judge(first as Moderator), await judge(second as Moderator)];
  const pairs = ones.flatMap((one, i) => {
    const other = others[i];
    return other !== undefined && isJudged(one) && isJudged(other)
      ? [{ first: one.harmful, second: other.harmful }]
      : [];
  });
  const unjudged = rows.length - pairs.length;
  return {
    first: described(first as Moderator),
    second: described(second as Moderator),
    ...agreementOf(pairs),
    ...(unjudged === 0 ? {} : { unjudged }),
  };
}
