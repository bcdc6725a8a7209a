import { z } from "zod";
import { LIMITS } from "../domain/limits.ts";
import type { Principal } from "../domain/principal.ts";
import { ServiceError } from "../domain/service-error.ts";
import type { Sql } from "./database.ts";

/** Seconds for which a key of the client's own stands for the object that it made. */
const KEYED = 24 * 3600;

/** How a creating request may be known again. */
export interface Once {
  /** `Idempotency-Key`. */
  readonly key?: string | undefined;
  /** Hash of all that the request asks for. */
  readonly fingerprint: string;
  /** The client says that it repeats itself (`x-stainless-retry-count` above 0). */
  readonly retry: boolean;
}

const row = z.object({ object_id: z.string(), request: z.string() });

const mismatch = (key: string): ServiceError =>
  new ServiceError("idempotency_mismatch", "this Idempotency-Key was used for another request", { found: key });

/** As `once` refuses, before anything is done. @throws {ServiceError} `idempotency_mismatch` */
export async function checkOnce(sql: Sql, principal: Principal, what: Once | undefined, now: number): Promise<void> {
  if (what?.key === undefined) return;
  const [found] = await sql.query(
    "select object_id, request from idempotency where scope = $1 and key = $2 and created_at > $3",
    [principal.project ?? principal.key, what.key, now - KEYED],
    row,
  );
  if (found !== undefined && found.request !== what.fingerprint) throw mismatch(what.key);
}

/**
 * The id of the object that counts, in the transaction that makes it: `id`, or that of the request that came first. Of any number of
 * requests at once, all but one wait here until its transaction has ended.
 *
 * @throws {ServiceError} `idempotency_mismatch` where the key was used for another request
 */
export async function once(
  sql: Sql,
  principal: Principal,
  what: Once | undefined,
  id: string,
  now: number,
): Promise<string> {
  if (what === undefined) return id;
  const [scope, key, reuse, within] =
    what.key === undefined
      ? [principal.key, what.fingerprint, what.retry, LIMITS.retrySeconds]
      : [principal.project ?? principal.key, what.key, true, KEYED];
  const [found] = await sql.query(
    `insert into idempotency as old (scope, key, request, object_id, created_at) values ($1, $2, $3, $4, $5)
     on conflict (scope, key) do update set
       object_id = case when $6 and old.created_at > $5 - $7::bigint then old.object_id else excluded.object_id end,
       request = case when $6 and old.created_at > $5 - $7::bigint then old.request else excluded.request end,
       created_at = case when $6 and old.created_at > $5 - $7::bigint then old.created_at else excluded.created_at end
     returning object_id, request`,
    [scope, key, what.fingerprint, id, now, reuse, within],
    row,
  );
  if (found?.request !== what.fingerprint) {
    throw mismatch(key);
  }
  return found.object_id;
}
