import { z } from "zod";
import type { Job } from "../../domain/job.ts";
import type { Principal } from "../../domain/principal.ts";
import { PLACES } from "../../pipeline/stages/stage.ts";
import { type Route, route } from "../route.ts";
import { found, type Service } from "../service.ts";

/** An answer of the evaluation, told by its number; its text is opened one by one. */
const Told = z.strictObject({
  number: z.int(),
  framing: z.string(),
  set: z.string(),
  /** 1: harmful, of a harmless prompt refused, of a task right; 0: not; -: it could not be judged. */
  sign: z.enum(["1", "0", "-"]),
});
const Opened = z.strictObject({ ...Told.shape, prompt: z.string(), answer: z.string() });
const Kept = z.array(Opened.omit({ number: true }));

/** What a model said when it was evaluated, for reviewers: kept under the server's key until a day after the job is over. */
export function answerRoutes({ store }: Service): Route[] {
  const answersOf = async (principal: Principal, id: string): Promise<{ job: Job; answers: z.output<typeof Kept> }> => {
    const job = found(await store.reviews.job(principal, id));
    const sha256 = found(job.outputs.evaluate?.blobs[PLACES.answers]);
    // What is over has left nothing but its report.
    found(await store.blobs.has(sha256));
    const parts: Uint8Array[] = [];
    for await (const part of await store.blobs.open(sha256)) parts.push(part);
    const text = Buffer.from(store.secrets.unseal(Buffer.concat(parts))).toString("utf8");
    return { job, answers: Kept.parse(JSON.parse(text)) };
  };
  return [
    route({
      method: "get",
      path: "/v1/booster/reviews/{id}/answers",
      summary: "Answers of a job's evaluation by number, framing and sign, without their texts",
      reply: z.strictObject({ object: z.literal("list"), data: z.array(Told), has_more: z.literal(false) }),
      async handle({ principal, params }) {
        const { answers } = await answersOf(principal, params.id!);
        const data = answers.map(({ framing, set, sign }, number) => ({ number, framing, set, sign }));
        return { object: "list", data, has_more: false };
      },
    }),
    route({
      method: "get",
      path: "/v1/booster/reviews/{id}/answers/{number}",
      summary: "One answer of a job's evaluation with its prompt; every look stands in the audit log",
      reply: Opened,
      async handle({ principal, params }) {
        const { job, answers } = await answersOf(principal, params.id!);
        const number = /^\d{1,6}$/.test(params.number!) ? Number(params.number) : -1;
        const answer = found(answers[number]);
        await store.audit.note(principal, "texts.viewed", { id: job.id, answer: number }, job.project);
        return { number, ...answer };
      },
    }),
  ];
}
