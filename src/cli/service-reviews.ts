import { z } from "zod";
import { defineCommand } from "./command.ts";
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

const DecisionOptions = z.strictObject({
  ...ServiceOptions.shape,
  job: z.string().min(1).describe("Id of the held job"),
  report: z
    .string()
    .regex(/^[\da-f]{64}$/, "must be the SHA-256 of a report")
    .describe("SHA-256 of the report that was read: a decision is about that one"),
  reason: z.string().min(1).max(2000).describe("Why, for the audit log and the job's owner"),
});

const Decided = z.object({ id: z.string(), status: z.string(), fine_tuned_model: z.string().nullable() });

/** The command that releases or rejects a held job. It throws what `askService` throws. */
export const decisionCommand = (verdict: "released" | "rejected", details: string, example: string) =>
  defineCommand({
    details,
    examples: [example],
    options: DecisionOptions,
    positional: ["job"],
    async run({ job, report, reason, ...options }, { output }) {
      const path = `/v1/booster/reviews/${encodeURIComponent(job)}/decision`;
      const body = { verdict, reason, report_sha256: report };
      const decided = await askService(options, path, Decided, { method: "POST", body });
      const model = decided.fine_tuned_model === null ? "" : `, ${decided.fine_tuned_model}`;
      output.result(decided, () => `${decided.id}: ${decided.status}${model}`);
    },
  });
