import { z } from "zod";
import { isJudged, type Judgement, openModerator } from "../../../evaluate/index.ts";
import { sha256Of } from "../../domain/canonical.ts";
import { newId } from "../../domain/ids.ts";
import { ServiceError } from "../../domain/service-error.ts";
import { policyOf } from "../../pipeline/policy.ts";
import { strict } from "../json.ts";
import { type Route, route } from "../route.ts";
import type { Service } from "../service.ts";

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

const Text = z.string().max(100_000);
const Part = strict({ type: z.literal("text"), text: Text });

const Result = z.strictObject({
  flagged: z.boolean(),
  categories: all(z.boolean()),
  category_scores: all(z.number()),
  category_applied_input_types: all(z.array(z.literal("text"))),
});

/** The very check that training files go through, offered beforehand: the moderator of the project's policy. */
export function moderationRoutes({ store }: Service): Route[] {
  const moderators = new Map<string, ReturnType<typeof openModerator>>();
  return [
    route({
      method: "post",
      path: "/v1/moderations",
      summary: "Judge texts by the moderator that training files are judged by",
      body: strict({
        input: z.union([Text, z.array(Text).min(1).max(128), z.array(Part).min(1).max(128)]),
        model: z.string().max(200).optional(),
      }),
      reply: z.strictObject({ id: z.string(), model: z.string(), results: z.array(Result) }),
      async handle({ principal, body, gone }) {
        const project =
          principal.project === undefined ? undefined : await store.projects.get(principal, principal.project);
        const policy = await store.policies.current(project?.policy ?? "default");
        if (policy === undefined) throw new Error("the project's policy is not there");
        const { moderator: choice } = policyOf(policy.body).moderation;
        const key = sha256Of(JSON.stringify(choice));
        const moderator = moderators.get(key) ?? openModerator(choice);
        moderators.set(key, moderator);
        const model = `booster-${moderator.name}`;
        if (body.model !== undefined && body.model !== model && !/^(omni|text)-moderation-/.test(body.model)) {
          throw new ServiceError("model_not_found", "there is no such moderator", { param: "model", expected: model });
        }
        const inputs = typeof body.input === "string" ? [body.input] : body.input;
        // Parts are one input; texts are one each.
        const texts = inputs.every((input) => typeof input === "string")
          ? inputs
          : [inputs.map((input) => (typeof input === "string" ? input : input.text)).join("\n")];
        const judged = await moderator.judge(
          texts.map((answer) => ({ prompt: "", answer })),
          gone,
        );
        return { id: newId("moderation"), model, results: judged.map(resultOf) };
      },
    }),
  ];
}

function resultOf(judgement: Judgement): z.input<typeof Result> {
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
