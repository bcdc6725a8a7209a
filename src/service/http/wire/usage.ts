import { z } from "zod";
import type { UsageRow } from "../../store/usage.ts";

export const DAY = 86_400;

const Result = z.strictObject({
  object: z.literal("organization.usage.completions.result"),
  input_tokens: z.int(),
  output_tokens: z.int(),
  num_model_requests: z.int(),
  project_id: z.string().nullable(),
  model: z.string().nullable(),
  user_id: z.null(),
  api_key_id: z.null(),
  batch: z.null(),
});

export const UsagePage = z.strictObject({
  object: z.literal("page"),
  data: z.array(
    z.strictObject({ object: z.literal("bucket"), start_time: z.int(), end_time: z.int(), results: z.array(Result) }),
  ),
  has_more: z.boolean(),
  next_page: z.string().nullable(),
});

/** Days as buckets, also those in which nothing was used; rows that are grouped by neither project nor model are added up. */
export function usageBuckets(
  rows: readonly UsageRow[],
  days: readonly number[],
  by: ReadonlySet<string>,
): z.input<typeof UsagePage>["data"] {
  return days.map((day) => {
    const results = new Map<string, z.input<typeof Result>>();
    for (const row of rows.filter((one) => one.day === day)) {
      const project_id = by.has("project_id") ? row.project_id : null;
      const model = by.has("model") ? row.model : null;
      const key = JSON.stringify([project_id, model]);
      const sum = results.get(key) ?? {
        object: "organization.usage.completions.result",
        input_tokens: 0,
        output_tokens: 0,
        num_model_requests: 0,
        project_id,
        model,
        user_id: null,
        api_key_id: null,
        batch: null,
      };
      if (row.kind === "prompt_tokens") sum.input_tokens += row.amount;
      if (row.kind === "completion_tokens") sum.output_tokens += row.amount;
      if (row.kind === "requests") sum.num_model_requests += row.amount;
      results.set(key, sum);
    }
    return { object: "bucket", start_time: day * DAY, end_time: (day + 1) * DAY, results: [...results.values()] };
  });
}
