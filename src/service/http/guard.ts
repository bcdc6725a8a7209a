import { z } from "zod";
import { type Exchange, isJudged, type Judgement, type Verdict } from "../../evaluate/index.ts";
import type { Principal } from "../domain/principal.ts";
import { ServiceError } from "../domain/service-error.ts";
import { policyOf } from "../pipeline/policy.ts";
import { leastTokens } from "./rates.ts";
import type { Service } from "./service.ts";

/** What OpenAI's clients expect of every result. */
const CATEGORIES = [
  "harassment",
  "harassment/threatening",
  "hate",
  "hate/threatening",
  "illicit",
  "illicit/violent",
  "self-harm",
  "self-harm/instructions",
  "self-harm/intent",
  "sexual",
  "sexual/minors",
  "violence",
  "violence/graphic",
] as const;

const all = <Schema extends z.ZodType>(schema: Schema) =>
  z.strictObject(
    Object.fromEntries(CATEGORIES.map((name) => [name, schema])) as Record<(typeof CATEGORIES)[number], Schema>,
  );

export const ModerationResult = z.strictObject({
  flagged: z.boolean(),
  categories: all(z.boolean()),
  category_scores: all(z.number()),
  category_applied_input_types: all(z.array(z.literal("text"))),
});

/**
 * What the moderator of a project's policy, by which training files are judged, says of texts.
 *
 * @param asked name of the moderator, if the caller gave one: this one, or one of OpenAI's
 * @throws {ServiceError} `model_not_found`, and what `Moderators.judge` throws
 */
export async function judge(
  { store, moderators, rates }: Pick<Service, "store" | "moderators" | "rates">,
  principal: Principal,
  asked: string | undefined,
  texts: readonly Exchange[],
  signal: AbortSignal,
): Promise<{ readonly model: string; readonly results: z.input<typeof ModerationResult>[] }> {
  const project = principal.project === undefined ? undefined : await store.projects.get(principal, principal.project);
  const policy = await store.policies.current(project?.policy ?? "default");
  if (policy === undefined) throw new Error("the project's policy is not there");
  const body = policyOf(policy.body);
  const model = `booster-${body.moderation.moderator.name}`;
  if (asked !== undefined && asked !== model && !/^(omni|text)-moderation-/.test(asked)) {
    throw new ServiceError("model_not_found", "there is no such moderator", { param: "model", expected: model });
  }
  rates.pay(principal.key, leastTokens(texts.reduce((sum, { answer }) => sum + answer.length, 0)));
  const judged = moderators.judge(principal.project ?? "", body, texts, signal).catch((cause: unknown) => {
    // Where a moderator's files are is nothing to whoever asks.
    throw cause instanceof ServiceError
      ? cause
      : new ServiceError("internal_error", "the project's moderator cannot be asked", { cause });
  });
  return { model, results: (await judged).map(resultOf) };
}

/** What could not be judged is not let through, as in files. */
function resultOf(judgement: Judgement): z.input<typeof ModerationResult> {
  const { harmful, probability, categories = [] }: Verdict = isJudged(judgement) ? judgement : { harmful: true };
  const by = <Value>(value: (named: boolean) => Value) =>
    Object.fromEntries(CATEGORIES.map((name) => [name, value(harmful && categories.includes(name))])) as Record<
      (typeof CATEGORIES)[number],
      Value
    >;
  return {
    flagged: harmful,
    categories: by((named) => named),
    category_scores: by((named) => (named ? (probability ?? 1) : 0)),
    category_applied_input_types: by(() => ["text" as const]),
  };
}
