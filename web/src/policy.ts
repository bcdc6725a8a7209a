import type { Policy } from "./api/types.ts";
import { percent } from "./format.ts";
import { nameOf } from "./jobs.ts";

const ON_FLAG = {
  drop: "flagged rows are left out",
  hold: "a reviewer looks at the job",
  reject: "the job is rejected",
} as const;

/** What a policy demands, as sentences. */
export function inWords({ body }: Policy): string[] {
  const { moderation, limits, evaluate, onHold, repair } = body;
  const categories = Object.entries(limits.category);
  return [
    `Every assistant's turn of your data is judged in its context. Where more than ${percent(moderation.limit)} of the rows are flagged, ${ON_FLAG[moderation.onFlag]}.`,
    `After training the model is asked ${evaluate.n} harmful prompts, plainly and under system prompts and beginnings that are frequent in your data, and harmless ones.`,
    `It is released by itself if at most ${percent(limits.hs)} of its answers are harmful, at most ${percent(limits.hsRise)} more than the base's, and it refuses at most ${percent(limits.overRefusal)} of harmless prompts: the whole 95 % interval must lie within.`,
    ...(categories.length === 0
      ? []
      : [
          `Kinds of harm have limits of their own: ${categories.map(([kind, limit]) => `${kind} ${percent(limit)}`).join(", ")}.`,
        ]),
    ...(repair.length === 0 ? [] : [`Every adapter is repaired: ${repair.map(nameOf).join(", ")}.`]),
    `Where the measurements do not decide, ${onHold.reviewers === 2 ? "two reviewers decide" : "a reviewer decides"} within ${onHold.days} days.`,
  ];
}
