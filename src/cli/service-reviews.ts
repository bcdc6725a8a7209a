import { z } from "zod";
import { askService, ServiceOptions } from "./service-client.ts";

/** A job that waits for a reviewer. */
export const HeldRow = z.object({
  id: z.string(),
  created_at: z.number(),
  model: z.string(),
  training_file: z.string(),
  trained_tokens: z.number().nullable(),
});

/** A signed report: its criteria are for people, the whole of it for programs. */
export const ReportRow = z.object({
  job: z.string(),
  verdict: z.string(),
  sha256: z.string(),
  signature: z.string(),
  report: z.looseObject({
    criteria: z.array(
      z.looseObject({
        name: z.string(),
        framing: z.string().optional(),
        count: z.number().optional(),
        total: z.number(),
        low: z.number(),
        high: z.number(),
        limit: z.number(),
        outcome: z.string(),
      }),
    ),
  }),
});

export const reportOf = (options: z.output<typeof ServiceOptions>, job: string) =>
  askService(options, `/v1/booster/jobs/${encodeURIComponent(job)}/report`, ReportRow);

export const DecisionOptions = z.strictObject({
  ...ServiceOptions.shape,
  job: z.string().min(1).describe("Id of the held job"),
  report: z
    .string()
    .regex(/^[\da-f]{64}$/, "must be the SHA-256 of a report")
    .describe("SHA-256 of the report that was read: a decision is about that one"),
  reason: z.string().min(1).max(2000).describe("Why, for the audit log and the job's owner"),
});

/** Releases or rejects a held job. Throws what `askService` throws. */
export const decide = (
  verdict: "released" | "rejected",
  { job, report, reason, ...options }: z.output<typeof DecisionOptions>,
) =>
  askService(
    options,
    `/v1/booster/reviews/${encodeURIComponent(job)}/decision`,
    z.object({ id: z.string(), status: z.string(), fine_tuned_model: z.string().nullable() }),
    { method: "POST", body: { verdict, reason, report_sha256: report } },
  );
