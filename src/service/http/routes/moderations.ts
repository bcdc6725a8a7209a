import { z } from "zod";
import { newId } from "../../domain/ids.ts";
import { judge, ModerationResult } from "../guard.ts";
import { strict } from "../json.ts";
import { type Route, route } from "../route.ts";
import type { Service } from "../service.ts";

const Text = z.string().max(100_000);
const Part = strict({ type: z.literal("text"), text: Text });

/** The very check that training files go through, offered beforehand: the moderator of the project's policy. */
export function moderationRoutes(service: Service): Route[] {
  return [
    route({
      method: "post",
      path: "/v1/moderations",
      summary: "Judge texts by the moderator that training files are judged by",
      body: strict({
        input: z.union([Text, z.array(Text).min(1).max(128), z.array(Part).min(1).max(128)]),
        model: z.string().max(200).optional(),
      }),
      reply: z.strictObject({ id: z.string(), model: z.string(), results: z.array(ModerationResult) }),
      async handle({ principal, body, gone }) {
        const inputs = typeof body.input === "string" ? [body.input] : body.input;
        // Parts are one input; texts are one each.
        const texts = inputs.every((input) => typeof input === "string")
          ? inputs
          : [inputs.map((input) => (typeof input === "string" ? input : input.text)).join("\n")];
        const pairs = texts.map((answer) => ({ prompt: "", answer }));
        const { model, results } = await judge(service, principal, body.model, pairs, gone);
        return { id: newId("moderation"), model, results };
      },
    }),
  ];
}
