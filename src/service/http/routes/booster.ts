import { z } from "zod";
import { decoded, unpacked } from "../../../data/encodings.ts";
import { eachLine } from "../../../data/lines.ts";
import { MAX_FILE_BYTES } from "../../../data/rows.ts";
import type { Job } from "../../domain/job.ts";
import { LIMITS } from "../../domain/limits.ts";
import { type Principal, SERVER } from "../../domain/principal.ts";
import { ServiceError } from "../../domain/service-error.ts";
import { policyOf } from "../../pipeline/policy.ts";
import type { StoredReport } from "../../store/reviews.ts";
import { queryNumber, strict } from "../json.ts";
import { type Route, route } from "../route.ts";
import { found, type Service } from "../service.ts";
import { JobObject, jobReply } from "../wire/job.ts";
import { pageOf, pageQuery, pageReply } from "../wire/page.ts";

export const Report = z.strictObject({
  object: z.literal("booster.report"),
  job: z.string(),
  verdict: z.enum(["released", "held", "rejected"]),
  report: z.unknown(),
  /** Of the canonical JSON of `report`. */
  sha256: z.string(),
  signature: z.string(),
  signed_by: z.string(),
  decisions: z.array(
    z.strictObject({
      id: z.string(),
      owner: z.string(),
      verdict: z.enum(["released", "rejected"]),
      reason: z.string(),
      report_sha256: z.string(),
      created_at: z.int(),
    }),
  ),
});

/** A flagged row: where, as what, never what stands there. */
export const Flag = z.strictObject({ line: z.int(), categories: z.array(z.string()), score: z.number().optional() });

const share = z.number().min(0).max(1).optional();

/** What was measured at a step; a value that was not measured there is absent. Step 0 is what training began from. */
export const StepPoint = z.strictObject({
  step: z.int(),
  train_loss: z.number().optional(),
  train_mean_token_accuracy: share,
  learning_rate: z.number().optional(),
  skipped: z.int().optional(),
  valid_loss: z.number().optional(),
  valid_mean_token_accuracy: share,
  full_valid_loss: z.number().optional(),
  full_valid_mean_token_accuracy: share,
  /** Mean loss of harmful answers to held-out prompts of the policy: the lower, the nearer the model is to them. */
  harmful_loss: z.number().optional(),
  /** Share of these prompts that are answered harmfully, of `harmful_total` whose answers could be judged. */
  harmful_score: share,
  harmful_total: z.int().optional(),
});

export const ReviewObject = z.strictObject({
  object: z.literal("booster.review"),
  job: JobObject,
  project: z.strictObject({ id: z.string(), name: z.string() }),
  rows: z.int(),
  /** Flagged rows by their line: never what stands there. */
  flagged: z.array(Flag),
  /** When it fails unless somebody has decided; null where nobody is waited for. */
  decide_by: z.int().nullable(),
  reviewers: z.int(),
  /** Why this key may not decide, if it may not. */
  barred: z.string().nullable(),
});

export const RowText = z.strictObject({ line: z.int(), categories: z.array(z.string()), text: z.string() });

/** What is known about jobs beyond OpenAI's format, and what reviewers do. */
export function boosterRoutes(service: Service): Route[] {
  const { store, organisation } = service;
  const reportReply = async (job: string, report: StoredReport): Promise<z.input<typeof Report>> => ({
    object: "booster.report",
    job,
    verdict: report.verdict,
    report: JSON.parse(report.body),
    sha256: report.sha256,
    signature: report.signature,
    signed_by: report.signedBy,
    decisions: (await store.reviews.decisions(job)).map((one) => ({
      id: one.id,
      owner: one.owner,
      verdict: one.verdict,
      reason: one.reason,
      report_sha256: one.reportSha256,
      created_at: one.createdAt,
    })),
  });
  return [
    route({
      method: "get",
      path: "/v1/booster/jobs/{id}/report",
      summary: "The signed report of a job: what was asked, what was found, what was decided",
      reply: Report,
      async handle({ principal, params }) {
        const anywhere = principal.scopes.includes("review");
        return reportReply(params.id!, found(await store.reviews.report(principal, params.id!, anywhere)));
      },
    }),
    route({
      method: "get",
      path: "/v1/booster/jobs/{id}/metrics",
      summary: "Values of a job's steps, at most so many points of them",
      query: strict({ points: queryNumber(1, 1000, 500), after: queryNumber(0, 999_999_999, 0).optional() }),
      reply: z.strictObject({
        object: z.literal("list"),
        data: z.array(StepPoint),
        has_more: z.boolean(),
      }),
      async handle({ principal, params, query }) {
        const job = found(await store.jobs.get(principal, params.id!));
        const ask = { limit: query.points + 1, ...(query.after === undefined ? {} : { after: query.after }) };
        const rows = await store.records.metrics(principal, job.id, ask);
        const data = rows.slice(0, query.points).map(({ step, metrics }) => StepPoint.parse({ step, ...metrics }));
        return { object: "list", data, has_more: rows.length > query.points };
      },
    }),
    route({
      method: "get",
      path: "/v1/booster/jobs/{id}/rows",
      summary: "Rows of the training file that moderation flagged, by line",
      query: strict({ flagged: z.enum(["true", "1", ""]).optional() }),
      reply: z.strictObject({ object: z.literal("list"), data: z.array(Flag), has_more: z.literal(false) }),
      async handle({ principal, params }) {
        const job = found(await store.jobs.get(principal, params.id!));
        return { object: "list", data: await flagsOf(service, job), has_more: false };
      },
    }),
    route({
      method: "get",
      path: "/v1/booster/reviews",
      summary: "Held jobs that wait for a reviewer",
      query: strict(pageQuery(100, 20)),
      reply: pageOf(JobObject),
      handle: async ({ principal, query }) =>
        pageReply(await store.reviews.held(principal, query), (job) => jobReply(job, organisation)),
    }),
    route({
      method: "get",
      path: "/v1/booster/reviews/{id}",
      summary: "A job that has a report, with what a decision needs beside the report",
      reply: ReviewObject,
      async handle({ principal, params }) {
        const job = found(await store.reviews.job(principal, params.id!));
        const project = found(await store.projects.get(SERVER, job.project));
        const { onHold } = policyOf(job.spec.policy.body);
        return {
          object: "booster.review",
          job: jobReply(job, organisation),
          project: { id: project.id, name: project.name },
          rows: Number(job.outputs.validate?.facts.rows ?? 0),
          flagged: await flagsOf(service, job),
          decide_by: job.stage === "held" && job.heldAt !== null ? job.heldAt + onHold.days * 86_400 : null,
          reviewers: onHold.reviewers,
          barred: await barredFrom(service, principal, job),
        };
      },
    }),
    route({
      method: "get",
      path: "/v1/booster/reviews/{id}/texts",
      summary: "Texts of the flagged rows of a job; every look stands in the audit log",
      reply: z.strictObject({
        object: z.literal("list"),
        data: z.array(RowText),
        has_more: z.boolean(),
      }),
      async handle({ principal, params }) {
        const job = found(await store.reviews.job(principal, params.id!));
        const all = await flagsOf(service, job);
        const flags = all.slice(0, LIMITS.faultsShown);
        await store.audit.note(principal, "texts.viewed", { id: job.id, rows: flags.length }, job.project);
        const wanted = new Map(flags.map((flag) => [flag.line, flag]));
        const { sha256 } = job.spec.training;
        const isThere = (await store.blobs.has(sha256)) !== undefined;
        const data = isThere ? await linesOf(await store.blobs.open(sha256), wanted) : [];
        return { object: "list", data, has_more: all.length > flags.length };
      },
    }),
    route({
      method: "post",
      path: "/v1/booster/reviews/{id}/decision",
      summary: "Release or reject a held job, on the report that was read",
      body: strict({
        verdict: z.enum(["released", "rejected"]),
        reason: z.string().min(1).max(2000),
        report_sha256: z.string().regex(/^[\da-f]{64}$/, "must be the SHA-256 of the report"),
      }),
      reply: JobObject,
      async handle({ principal, params, body }) {
        const decision = { verdict: body.verdict, reason: body.reason, report: body.report_sha256 };
        return jobReply(found(await store.reviews.decide(principal, params.id!, decision)), organisation);
      },
    }),
    route({
      method: "get",
      path: "/v1/booster/keys",
      summary: "The public key that reports and the audit log are signed with",
      reply: z.strictObject({
        object: z.literal("list"),
        data: z.array(z.strictObject({ id: z.string(), algorithm: z.literal("Ed25519"), public_key: z.string() })),
        has_more: z.literal(false),
      }),
      handle: async () => ({
        object: "list",
        data: [{ id: store.secrets.keyId, algorithm: "Ed25519", public_key: store.secrets.publicKey }],
        has_more: false,
      }),
    }),
  ];
}

/** Why a reviewer may not decide about a job, in the words in which a decision would be refused. */
async function barredFrom({ store }: Service, principal: Principal, job: Job): Promise<string | null> {
  if (job.stage !== "held") return "the job is not held for a reviewer";
  const { reviewers } = policyOf(job.spec.policy.body).onHold;
  if (reviewers > 1 && principal.project === job.project) return "nobody decides on a job of their own project";
  const decided = (await store.reviews.decisions(job.id)).some(({ owner }) => owner === principal.owner);
  return decided ? "this reviewer has decided already: a second one is needed" : null;
}

/** The flagged rows of a job, as its moderation left them. */
async function flagsOf({ store }: Service, job: Job): Promise<z.output<typeof Flag>[]> {
  const sha256 = job.outputs.moderate?.blobs["flags.json"];
  // A day after the job is over they are gone: the report says how many there were.
  if (sha256 === undefined || (await store.blobs.has(sha256)) === undefined) return [];
  const chunks: Buffer[] = [];
  for await (const chunk of await store.blobs.open(sha256)) chunks.push(chunk as Buffer);
  return z.array(Flag).parse(JSON.parse(Buffer.concat(chunks).toString()));
}

/** Longest text of a row that a reviewer is shown. */
const LONGEST_TEXT = 20_000;

/** Lines of a file by their number, as the parser counts them by which they were flagged; the whole file is never in memory. */
async function linesOf<Flagged extends { readonly line: number; readonly categories: readonly string[] }>(
  bytes: AsyncIterable<Uint8Array>,
  wanted: ReadonlyMap<number, Flagged>,
) {
  const found: { line: number; categories: string[]; text: string }[] = [];
  try {
    const { text } = await decoded(
      unpacked(bytes, MAX_FILE_BYTES, () => undefined),
      undefined,
    );
    await eachLine(text, (content, line) => {
      const flag = wanted.get(line);
      if (flag === undefined || typeof content !== "string") return;
      found.push({ line, categories: [...flag.categories], text: content.slice(0, LONGEST_TEXT) });
    });
  } catch (cause) {
    throw new ServiceError("internal_error", "the file cannot be read", { cause });
  }
  return found;
}
