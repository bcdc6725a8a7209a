import { timingSafeEqual } from "node:crypto";
import { z } from "zod";
import { keyHash, keyIdOf, makeKey } from "../domain/api-key.ts";
import { KEY_KINDS, type KeyKind, type Principal, SCOPES, type Scope } from "../domain/principal.ts";
import { ServiceError } from "../domain/service-error.ts";
import { record } from "./audit.ts";
import { type Context, type Page, type PageAsk, page } from "./context.ts";
import type { Sql } from "./database.ts";
import { type Once, once } from "./once.ts";

/** `last_used_at` is written at most this often. */
const USED_EVERY = 60;

export const keyRow = z
  .object({
    id: z.string(),
    name: z.string(),
    tail: z.string(),
    kind: z.enum(KEY_KINDS),
    project_id: z.string().nullable(),
    scopes: z.array(z.enum(SCOPES)),
    owner: z.string(),
    created_at: z.number(),
    expires_at: z.number().nullable(),
    revoked_at: z.number().nullable(),
    last_used_at: z.number().nullable(),
  })
  .transform((row) => ({
    id: row.id,
    name: row.name,
    /** The last four letters, to tell keys apart. */
    tail: row.tail,
    kind: row.kind,
    project: row.project_id,
    scopes: row.scopes as readonly Scope[],
    owner: row.owner,
    createdAt: row.created_at,
    expiresAt: row.expires_at,
    revokedAt: row.revoked_at,
    lastUsedAt: row.last_used_at,
  }));
export type ApiKey = Readonly<z.infer<typeof keyRow>>;

export const KEY_COLUMNS =
  "id, name, tail, kind, project_id, scopes, owner, created_at, expires_at, revoked_at, last_used_at";

/** A key, `$1`, of the project `$2`, or of any. */
const MINE = "id = $1 and ($2::text is null or project_id = $2)";

export interface NewKey {
  readonly kind: KeyKind;
  readonly project?: string | undefined;
  readonly name: string;
  readonly scopes: readonly Scope[];
  readonly owner: string;
  readonly expiresAt?: number | undefined;
  readonly once?: Once | undefined;
}

/** Who a presented key is, or why it is nobody. */
export type Found = { readonly principal: Principal } | { readonly refused: "invalid" | "revoked" | "expired" };

/** Compared with where no key has the id, so that both cases take the same time. */
const NOBODY = keyHash("");

/** API keys: only their hash is stored. */
export class Keys {
  constructor(private readonly context: Context) {}

  /**
   * A new key; `presented` is shown once and nowhere kept. Who asks again, because the answer was lost, is given the same key with another secret: the first one
   * opens nothing any more, whoever has it.
   *
   * @throws {ServiceError} `idempotency_mismatch`, `invalid_value` where the key was revoked meanwhile
   */
  create(principal: Principal, wanted: NewKey): Promise<{ readonly key: ApiKey; readonly presented: string }> {
    return this.context.db.transaction((sql) => this.#create(sql, principal, wanted));
  }

  async #create(sql: Sql, principal: Principal, wanted: NewKey) {
    const { id, presented } = makeKey();
    const there = await once(sql, principal, wanted.once, `key_${id}`, this.context.now());
    if (there !== `key_${id}`) return this.#reissue(sql, principal, there);
    const [key] = await sql.query(
      `insert into api_keys (id, hash, tail, kind, project_id, name, scopes, owner, created_at, expires_at)
       values ($1, $2, $3, $4, $5, $6, $7::text[], $8, $9, $10) returning ${KEY_COLUMNS}`,
      [
        `key_${id}`,
        keyHash(presented),
        presented.slice(-4),
        wanted.kind,
        wanted.project ?? null,
        wanted.name,
        [...wanted.scopes],
        wanted.owner,
        this.context.now(),
        wanted.expiresAt ?? null,
      ],
      keyRow,
    );
    if (key === undefined) throw new Error("an insert gave no row");
    const about = { id: key.id, kind: key.kind, scopes: key.scopes, owner: key.owner };
    await record(sql, this.context.now(), principal, "api_key.created", about, key.project);
    return { key, presented };
  }

  async #reissue(sql: Sql, principal: Principal, id: string) {
    const { presented } = makeKey(id.slice("key_".length));
    const [key] = await sql.query(
      `update api_keys set hash = $2, tail = $3 where id = $1 and revoked_at is null returning ${KEY_COLUMNS}`,
      [id, keyHash(presented), presented.slice(-4)],
      keyRow,
    );
    if (key === undefined) throw new ServiceError("invalid_value", "the key that this request made was revoked");
    await sql.query("delete from sessions where key_id = $1", [id]);
    await record(sql, this.context.now(), principal, "api_key.reissued", { id }, key.project);
    return { key, presented };
  }

  /** Whether this server has ever had a key: the first start makes one. */
  async any(): Promise<boolean> {
    return (await this.context.db.query("select 1 from api_keys limit 1")).length > 0;
  }

  /** Who presents a key. Comparison takes the same time for every key of the right form. */
  async find(presented: string): Promise<Found> {
    const id = keyIdOf(presented);
    if (id === undefined) return { refused: "invalid" };
    const [row] = await this.context.db.query(
      `select ${KEY_COLUMNS}, hash from api_keys where id = $1`,
      [`key_${id}`],
      z.object({ hash: z.string() }).loose(),
    );
    const same = timingSafeEqual(Buffer.from(row?.hash ?? NOBODY, "hex"), Buffer.from(keyHash(presented), "hex"));
    return row === undefined || !same ? { refused: "invalid" } : this.admit(keyRow.parse(row));
  }

  /** Whether a key that is known still counts, and as whom. */
  async admit(key: ApiKey): Promise<Found> {
    const now = this.context.now();
    if (key.revokedAt !== null) return { refused: "revoked" };
    if (key.expiresAt !== null && key.expiresAt <= now) return { refused: "expired" };
    const principal: Principal = {
      key: key.id,
      kind: key.kind,
      ...(key.project === null ? {} : { project: key.project }),
      scopes: key.scopes,
      owner: key.owner,
    };
    if (key.lastUsedAt === null || now - key.lastUsedAt >= USED_EVERY) await this.#used(principal, now);
    return { principal };
  }

  async #used(principal: Principal, now: number): Promise<void> {
    await this.context.db.transaction(async (sql) => {
      const first = await sql.query(
        "update api_keys set last_used_at = $2 where id = $1 and last_used_at is null returning id",
        [principal.key, now],
      );
      if (first.length > 0) await record(sql, now, principal, "api_key.first_used", { id: principal.key });
      else
        await sql.query("update api_keys set last_used_at = $2 where id = $1 and last_used_at < $2", [
          principal.key,
          now,
        ]);
    });
  }

  /** Keys of a project, or of the whole server for a key that belongs to no project. */
  list(
    principal: Principal,
    ask: PageAsk & { readonly project?: string | undefined; readonly unrevoked?: boolean },
  ): Promise<Page<ApiKey>> {
    return page(
      this.context.db,
      {
        table: "api_keys",
        columns: KEY_COLUMNS,
        scope: "($1::text is null or project_id = $1) and ($2::text is null or project_id = $2)",
        params: [principal.project ?? null, ask.project ?? null],
        filter: "not $3::boolean or revoked_at is null",
        filterParams: [ask.unrevoked ?? false],
        row: keyRow,
      },
      ask,
    );
  }

  async get(principal: Principal, id: string): Promise<ApiKey | undefined> {
    const [key] = await this.context.db.query(
      `select ${KEY_COLUMNS} from api_keys where ${MINE}`,
      [id, principal.project ?? null],
      keyRow,
    );
    return key;
  }

  /** Ends a key at once; again is no error. Nothing: there is no such key. */
  revoke(principal: Principal, id: string): Promise<ApiKey | undefined> {
    return this.context.db.transaction((sql) => this.#revoke(sql, principal, id));
  }

  async #revoke(sql: Sql, principal: Principal, id: string): Promise<ApiKey | undefined> {
    const now = this.context.now();
    const params = [id, principal.project ?? null];
    const revoked = await sql.query(
      `update api_keys set revoked_at = $3 where ${MINE} and revoked_at is null returning ${KEY_COLUMNS}`,
      [...params, now],
      keyRow,
    );
    if (revoked[0] === undefined) {
      return (await sql.query(`select ${KEY_COLUMNS} from api_keys where ${MINE}`, params, keyRow))[0];
    }
    await record(sql, now, principal, "api_key.revoked", { id }, revoked[0].project);
    return revoked[0];
  }

  /**
   * A new key that may do the same; the old one ends. Nothing: there is no such key.
   *
   * @throws {ServiceError} `invalid_value` where it has ended already: what was taken back does not come again
   */
  rotate(principal: Principal, id: string): Promise<{ readonly key: ApiKey; readonly presented: string } | undefined> {
    return this.context.db.transaction(async (sql) => {
      const [open] = await sql.query(
        `select ${KEY_COLUMNS} from api_keys where ${MINE} for update`,
        [id, principal.project ?? null],
        keyRow,
      );
      if (open !== undefined && open.revokedAt !== null) {
        throw new ServiceError("invalid_value", "this key was revoked", { hint: "Make a new one", found: id });
      }
      const old = await this.#revoke(sql, principal, id);
      if (old === undefined) return undefined;
      return this.#create(sql, principal, {
        kind: old.kind,
        project: old.project ?? undefined,
        name: old.name,
        scopes: old.scopes,
        owner: old.owner,
        expiresAt: old.expiresAt ?? undefined,
      });
    });
  }
}
