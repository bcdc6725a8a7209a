import { z } from "zod";
import type { Principal } from "../domain/principal.ts";
import { type Context, projectOf } from "./context.ts";

const DAY = 86_400;
const usageRow = z.object({
  project_id: z.string(),
  day: z.number(),
  kind: z.string(),
  model: z.string(),
  amount: z.number(),
});
/** `day`: days since 1970. */
export type UsageRow = Readonly<z.infer<typeof usageRow>>;

/** What was used, counted by project, day, kind and model. */
export class Usage {
  constructor(private readonly context: Context) {}

  async add(principal: Principal, model: string, amounts: Readonly<Record<string, number>>): Promise<void> {
    await this.context.db.query(
      `insert into usage (project_id, day, kind, model, amount)
       select $1, $2, used.kind, $3, used.amount from unnest($4::text[], $5::bigint[]) as used (kind, amount)
       on conflict (project_id, day, kind, model) do update set amount = usage.amount + excluded.amount`,
      [projectOf(principal), Math.floor(this.context.now() / DAY), model, Object.keys(amounts), Object.values(amounts)],
    );
  }

  /** From one time to another, for the principal's project or, for keys of the whole server, for all. */
  between(principal: Principal, from: number, to: number): Promise<UsageRow[]> {
    return this.context.db.query(
      `select project_id, day, kind, model, amount from usage
       where ($1::text is null or project_id = $1) and day >= $2 and day <= $3 order by day, project_id, kind, model`,
      [principal.project ?? null, Math.floor(from / DAY), Math.floor(to / DAY)],
      usageRow,
    );
  }
}
