import { z } from "zod";
import type { JsonValue } from "../domain/json.ts";
import type { Principal } from "../domain/principal.ts";
import type { WorkerFacts } from "../domain/protocol.ts";
import { record } from "./audit.ts";
import type { Context } from "./context.ts";

const workerRow = z
  .object({
    id: z.string(),
    host: z.string(),
    pid: z.number(),
    version: z.string(),
    capacity: z.custom<Readonly<Record<string, JsonValue>>>(),
    seen_at: z.number(),
    draining: z.boolean(),
  })
  .transform((row) => ({
    id: row.id,
    host: row.host,
    pid: row.pid,
    version: row.version,
    capacity: row.capacity,
    seenAt: row.seen_at,
    draining: row.draining,
  }));
export type WorkerRecord = Readonly<z.infer<typeof workerRow>>;
const COLUMNS = "id, host, pid, version, capacity, seen_at, draining";

/** Which workers there are: for people to see. Who may write is decided by leases alone. */
export class Workers {
  constructor(private readonly context: Context) {}

  /** A worker tells of itself, whenever it asks for work. */
  seen(principal: Principal, worker: WorkerFacts, draining = false): Promise<void> {
    return this.context.db.transaction(async (sql) => {
      const now = this.context.now();
      const capacity = JSON.stringify({ slots: worker.slots, threads: worker.threads });
      const params = [worker.id, worker.host, worker.pid, worker.version, capacity, now, draining];
      const known = await sql.query(
        `update workers set host = $2, pid = $3, version = $4, capacity = $5::jsonb, seen_at = $6, draining = $7
         where id = $1 returning id`,
        params,
      );
      if (known.length > 0) return;
      await sql.query(
        `insert into workers (${COLUMNS}) values ($1, $2, $3, $4, $5::jsonb, $6, $7) on conflict (id) do nothing`,
        params,
      );
      await record(sql, now, principal, "worker.joined", { id: worker.id, host: worker.host }, null);
    });
  }

  list(): Promise<WorkerRecord[]> {
    return this.context.db.query(`select ${COLUMNS} from workers order by seen_at desc, id limit 100`, [], workerRow);
  }
}
