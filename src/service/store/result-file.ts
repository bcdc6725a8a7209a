import { z } from "zod";
import type { BlobStore, Stored } from "./blobs.ts";
import type { Sql } from "./database.ts";

/** Columns of the result file, and what each holds in the metrics of a step. */
const COLUMNS = [
  ["step", "step"],
  ["train_loss", "train_loss"],
  ["train_accuracy", "train_mean_token_accuracy"],
  ["valid_loss", "valid_loss"],
  ["valid_mean_token_accuracy", "valid_mean_token_accuracy"],
  ["full_valid_loss", "full_valid_loss"],
  ["full_valid_mean_token_accuracy", "full_valid_mean_token_accuracy"],
  ["learning_rate", "learning_rate"],
  ["skipped", "skipped"],
] as const;
const ROWS = 1_000;

/** A job's metrics as CSV, stored. A cell is empty where nothing was measured. */
export function resultFile(sql: Sql, blobs: BlobStore, job: string): Promise<Stored> {
  const row = z.object({ step: z.number(), metrics: z.record(z.string(), z.number()) });
  return blobs.put(
    (async function* () {
      const encoder = new TextEncoder();
      yield encoder.encode(`${COLUMNS.map(([name]) => name).join(",")}\n`);
      // What training began from is no step.
      for (let after = 0; ; ) {
        const rows = await sql.query(
          `select step, metrics from job_metrics where job_id = $1 and step > $2 order by step limit ${ROWS}`,
          [job, after],
          row,
        );
        const lines = rows.map(({ step, metrics }) =>
          COLUMNS.map(([, from]) => (from === "step" ? step : (metrics[from] ?? ""))).join(","),
        );
        if (lines.length > 0) yield encoder.encode(`${lines.join("\n")}\n`);
        if (rows.length < ROWS) return;
        after = rows.at(-1)?.step ?? after;
      }
    })(),
  );
}
