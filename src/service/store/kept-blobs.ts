import { z } from "zod";
import type { Sql } from "./database.ts";

const keptRow = z.object({ of: z.string(), id: z.string(), sha256: z.string() });

/** A blob that must be there, and what it is of: a file, an open upload, a job that is not over, a checkpoint, a model, a base, a policy. */
export type KeptBlob = Readonly<z.infer<typeof keptRow>>;

/** Every blob that something cannot do without. `namedBlobs` has these and whatever else looks like one. */
export function keptBlobs(sql: Sql, now: number): Promise<KeptBlob[]> {
  const open = "select id from jobs where stage <> 'done'";
  return sql.query(
    `select 'file' as of, id, sha256 from files where deleted_at is null and (expires_at is null or expires_at > $1)
     union select 'upload', upload_id, parts.sha256 from upload_parts parts join uploads on uploads.id = upload_id
       where status = 'pending' and expires_at > $1
     union select 'job', id, named.value ->> 'sha256' from jobs,
       jsonb_each(jsonb_build_object('training', spec -> 'training', 'validation', spec -> 'validation')) as named
       where stage <> 'done' and named.value ->> 'sha256' is not null
     union select 'job', id, blob.value from jobs, jsonb_each(outputs) as put, jsonb_each_text(put.value -> 'blobs') as blob
       where stage <> 'done'
     union select 'job', job_id, blob.value from reports, jsonb_each_text(adapter) as blob where job_id in (${open})
     union select 'checkpoint', id, blob.value from checkpoints, jsonb_each_text(files) as blob
       where epoch_end or job_id in (${open})
     union select 'model', id, blob.value from models, jsonb_each_text(files) as blob where state <> 'deleted'
     union select 'base', name, blob.value from bases, jsonb_each_text(files) as blob
     union select 'policy', name || '@' || version, rows.value ->> 'sha256' from policies, jsonb_each(body -> 'sets') as rows
     order by 1, 2, 3`,
    [now],
    keptRow,
  );
}
