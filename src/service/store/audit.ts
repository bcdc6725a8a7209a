import { setImmediate as othersFirst } from "node:timers/promises";
import { z } from "zod";
import { canonicalJson, sha256Of } from "../domain/canonical.ts";
import { newId } from "../domain/ids.ts";
import type { JsonValue } from "../domain/json.ts";
import type { Principal } from "../domain/principal.ts";
import { type Context, type Page, type PageAsk, page } from "./context.ts";
import type { Sql } from "./database.ts";
import { isSignedBy, type Secrets } from "./secrets.ts";

/** What is written down for ever. */
export const AUDIT_TYPES = [
  "api_key.created",
  "api_key.reissued",
  "api_key.revoked",
  "api_key.first_used",
  "file.created",
  "file.deleted",
  "job.created",
  "job.cancelled",
  "job.paused",
  "job.resumed",
  "job.verdict",
  "job.decided",
  "model.withdrawn",
  "model.deleted",
  "policy.changed",
  "texts.viewed",
  "backup.made",
  "grant.created",
  "grant.deleted",
  "base.added",
  "base.evaluated",
  "base.retired",
  "worker.joined",
  "project.created",
  "project.archived",
  "project.changed",
  "session.created",
  "session.ended",
  "webhook.created",
  "webhook.deleted",
] as const;
export type AuditType = (typeof AUDIT_TYPES)[number];

const entryRow = z.object({
  seq: z.number(),
  id: z.string(),
  type: z.string(),
  effective_at: z.number(),
  actor: z.object({ key: z.string(), owner: z.string() }),
  project_id: z.string().nullable(),
  data: z.custom<Readonly<Record<string, JsonValue>>>(),
  previous: z.string(),
  hash: z.string(),
});
export type AuditEntry = Readonly<z.infer<typeof entryRow>>;

const headRow = z.object({ seq: z.number(), hash: z.string() });
const COLUMNS = "seq, id, type, effective_at, actor, project_id, data, previous, hash";

/** What an entry's hash is about: all of it, and the entry before. */
export const entryHash = (entry: Omit<AuditEntry, "hash">): string => sha256Of(entry.previous + canonicalJson(entry));

/**
 * Adds to the log, in the transaction of what it tells of and last in it: the head of the chain stays locked until that ends.
 * `data` names objects, never texts of tenants.
 */
export async function record(
  sql: Sql,
  now: number,
  actor: Principal,
  type: AuditType,
  data: Readonly<Record<string, JsonValue>>,
  project: string | null = actor.project ?? null,
): Promise<void> {
  const [head] = await sql.query("select seq, hash from audit_head for update", [], headRow);
  if (head === undefined) throw new Error("the audit log has lost its head");
  const entry = {
    seq: head.seq + 1,
    id: newId("audit"),
    type,
    effective_at: now,
    actor: { key: actor.key, owner: actor.owner },
    project_id: project,
    data,
    previous: head.hash,
  };
  const hash = entryHash(entry);
  await sql.query(`insert into audit (${COLUMNS}) values ($1, $2, $3, $4, $5::jsonb, $6, $7::jsonb, $8, $9)`, [
    entry.seq,
    entry.id,
    type,
    now,
    JSON.stringify(entry.actor),
    project,
    JSON.stringify(data),
    head.hash,
    hash,
  ]);
  await sql.query("update audit_head set seq = $1, hash = $2", [entry.seq, hash]);
}

/** The log of who did what: it only grows, and each entry's hash covers the one before. */
export class Audit {
  constructor(
    private readonly context: Context,
    private readonly secrets: Secrets,
  ) {}

  /** For keys that may read it; a project's key sees its project. */
  list(
    principal: Principal,
    ask: PageAsk & {
      readonly types?: readonly string[] | undefined;
      readonly projects?: readonly string[] | undefined;
      readonly from?: number;
      readonly to?: number;
    },
  ): Promise<Page<AuditEntry>> {
    return page(
      this.context.db,
      {
        table: "audit",
        columns: COLUMNS,
        scope: "$1::text is null or project_id = $1",
        filter: `($2::text[] is null or type = any($2::text[])) and ($3::text[] is null or project_id = any($3::text[]))
          and effective_at >= $4 and effective_at <= $5`,
        params: [principal.project ?? null],
        filterParams: [ask.types ?? null, ask.projects ?? null, ask.from ?? 0, ask.to ?? Number.MAX_SAFE_INTEGER],
        row: entryRow,
      },
      ask,
    );
  }

  /** Notes something that changes nothing else, such as a look at texts. */
  note(
    principal: Principal,
    type: AuditType,
    data: Readonly<Record<string, JsonValue>>,
    project?: string,
  ): Promise<void> {
    return this.context.db.transaction((sql) => record(sql, this.context.now(), principal, type, data, project));
  }

  /** Entries from the oldest on, behind `seq`: for export and for checking the chain. */
  entries(seq: number, limit: number): Promise<AuditEntry[]> {
    return this.context.db.query(
      `select ${COLUMNS} from audit where seq > $1 order by seq limit $2`,
      [seq, limit],
      entryRow,
    );
  }

  /** Signs the head of the chain, if it has moved: whoever cuts off the end of the log later is found out. Called every hour. */
  async seal(): Promise<void> {
    const { db, now } = this.context;
    const [head] = await db.query("select seq, hash from audit_head", [], headRow);
    if (head === undefined || head.seq === 0) return;
    await db.query(
      "insert into audit_seals (seq, hash, sealed_at, signature, signed_by) values ($1, $2, $3, $4, $5) on conflict (seq) do nothing",
      [head.seq, head.hash, now(), this.secrets.sign(sealText(head)), this.secrets.keyId],
    );
  }

  /** Computes the whole chain again: what is wrong with it, from the first fault on; nothing where it is whole. */
  async verify(): Promise<{ readonly entries: number; readonly seals: number; readonly fault?: string }> {
    const { db } = this.context;
    const seals = new Map(
      (
        await db.query("select seq, hash, signature from audit_seals", [], headRow.extend({ signature: z.string() }))
      ).map((seal) => [seal.seq, seal]),
    );
    let last = { seq: 0, hash: "" };
    const broken = (fault: string) => ({ entries: last.seq, seals: seals.size, fault });
    for (;;) {
      const entries = await this.entries(last.seq, VERIFIED_AT_ONCE);
      for (const { hash, ...entry } of entries) {
        if (entry.seq !== last.seq + 1) return broken(`entry ${last.seq + 1} is missing`);
        if (entry.previous !== last.hash || entryHash(entry) !== hash) return broken(`entry ${entry.seq} was changed`);
        last = { seq: entry.seq, hash };
        const seal = seals.get(entry.seq);
        if (seal === undefined) continue;
        if (seal.hash !== hash || !isSignedBy(this.secrets.publicKey, sealText(seal), seal.signature)) {
          return broken(`entry ${entry.seq} is not the one that was sealed`);
        }
      }
      if (entries.length < VERIFIED_AT_ONCE) break;
      await othersFirst();
    }
    const [head] = await db.query("select seq, hash from audit_head", [], headRow);
    const end = Math.max(head?.seq ?? 0, ...seals.keys());
    if (end > last.seq || head?.hash !== last.hash) return broken(`entries up to ${end} are missing`);
    return { entries: last.seq, seals: seals.size };
  }
}

/** Entries that are in memory at a time. */
const VERIFIED_AT_ONCE = 500;

const sealText = (head: { readonly seq: number; readonly hash: string }): string => `audit ${head.seq} ${head.hash}`;
