import { z } from "zod";
import { defineCommand } from "../command.ts";
import { columns } from "../output.ts";
import { askService, ServiceOptions } from "../service-client.ts";

const DAY = 86_400;
const Page = z.object({
  data: z.array(
    z.object({
      start_time: z.number(),
      results: z.array(
        z.object({
          project_id: z.string().nullable(),
          model: z.string().nullable(),
          num_model_requests: z.number(),
          input_tokens: z.number(),
          output_tokens: z.number(),
        }),
      ),
    }),
  ),
});

/** `booster usage` */
export const command = defineCommand({
  details: "Lists what models of a running server were asked, by day (UTC), project and model.",
  examples: ["booster usage  # the last seven days", "booster usage --days 30 --json  # for a sheet"],
  options: z.strictObject({
    ...ServiceOptions.shape,
    days: z.int().min(1).max(180).default(7).describe("How many days, with today"),
  }),
  async run({ days, ...options }, { output }) {
    const today = Math.floor(Date.now() / 1000 / DAY);
    const query = new URLSearchParams({ start_time: String((today - days + 1) * DAY), limit: String(days) });
    for (const by of ["project_id", "model"]) query.append("group_by[]", by);
    const { data } = await askService(options, `/v1/organization/usage/completions?${query}`, Page);
    const rows = data.flatMap(({ start_time, results }) =>
      results.map((result) => ({ day: new Date(start_time * 1000).toISOString().slice(0, 10), ...result })),
    );
    output.result({ usage: rows }, () =>
      columns([
        ["day", "project", "model", "requests", "tokens in", "tokens out"],
        ...rows.map((row) => [
          row.day,
          row.project_id ?? "",
          row.model ?? "",
          ...[row.num_model_requests, row.input_tokens, row.output_tokens].map(String),
        ]),
      ]),
    );
  },
});
