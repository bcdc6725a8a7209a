import { z } from "zod";
import { type Exchange, isJudged, type Judgement, type Moderator } from "../../evaluate/index.ts";
import { sha256Of } from "../domain/canonical.ts";
import type { Principal } from "../domain/principal.ts";
import { ServiceError } from "../domain/service-error.ts";
import { moderatorOf } from "../pipeline/moderator.ts";
import { policyOf } from "../pipeline/policy.ts";
import type { Store } from "../store/store.ts";

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

/** Those that are models themselves. Workers compute them; the server's own process, in which nothing may take long, does not. */
const MODELS: readonly string[] = ["beaver-dam", "llama-guard", "sequence-classifier"] satisfies readonly Chosen[];
type Chosen = ReturnType<typeof policyOf>["moderation"]["moderator"]["name"];

/** Moderators by what they were chosen with: they are functions, and some are large. */
const moderators = new Map<string, Moderator>();

/**
 * What the moderator of a project's policy, by which training files are judged, says of texts.
 *
 * @param asked name of the moderator, if the caller gave one: this one, or one of OpenAI's
 * @throws {ServiceError} `model_not_found`
 */
export async function judge(
  store: Store,
  principal: Principal,
  asked: string | undefined,
  texts: readonly Exchange[],
  signal: AbortSignal,
): Promise<{ readonly model: string; readonly results: z.input<typeof ModerationResult>[] }> {
  const project = principal.project === undefined ? undefined : await store.projects.get(principal, principal.project);
  const policy = await store.policies.current(project?.policy ?? "default");
  if (policy === undefined) throw new Error("the project's policy is not there");
  const body = policyOf(policy.body);
  if (MODELS.includes(body.moderation.moderator.name)) {
    throw new ServiceError(
      "model_not_found",
      "the project's moderator is a model, which judges files and evaluations alone",
      {
        param: "model",
        found: body.moderation.moderator.name,
        hint: "A policy whose moderator is no model, or a judge at another address, serves here too",
      },
    );
  }
  const key = sha256Of(JSON.stringify([body.moderation.moderator, body.moderatorFiles]));
  const moderator = moderators.get(key) ?? (await moderatorOf(body)).moderator;
  moderators.set(key, moderator);
  const model = `booster-${moderator.name}`;
  if (asked !== undefined && asked !== model && !/^(omni|text)-moderation-/.test(asked)) {
    throw new ServiceError("model_not_found", "there is no such moderator", { param: "model", expected: model });
  }
  return { model, results: (await moderator.judge(texts, signal)).map(resultOf) };
}

function resultOf(judgement: Judgement): z.input<typeof ModerationResult> {
  if (!isJudged(judgement)) throw new ServiceError("internal_error", "the moderator gave no verdict");
  const { harmful, probability, categories = [] } = judgement;
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
