import { z } from "zod";
import { sha256Of } from "../domain/canonical.ts";
import { randomBase62 } from "../domain/ids.ts";
import { LIMITS } from "../domain/limits.ts";
import type { Principal } from "../domain/principal.ts";
import { record } from "./audit.ts";
import type { Context } from "./context.ts";
import { type Found, KEY_COLUMNS, type Keys, keyRow } from "./keys.ts";

/** 43 letters of 62 are 256 bits. */
const SECRET = 43;

/** What a secret leads to: until when, and as whom. */
export type FoundSession = Found & { readonly expiresAt?: number };

/** Browsers that signed in with a key; each may what its key may, and ends with it. Only hashes of their secrets are stored. */
export class Sessions {
  constructor(
    private readonly context: Context,
    private readonly keys: Keys,
  ) {}

  /** A new session of a key; the key's oldest one goes where it has too many. */
  create(principal: Principal): Promise<{ readonly secret: string; readonly expiresAt: number }> {
    return this.context.db.transaction(async (sql) => {
      const now = this.context.now();
      const [secret, expiresAt] = [randomBase62(SECRET), now + LIMITS.sessionSeconds];
      await sql.query(
        `delete from sessions where expires_at <= $2 or hash in
           (select hash from sessions where key_id = $1 order by created_at desc, hash offset $3)`,
        [principal.key, now, LIMITS.sessionsPerKey - 1],
      );
      await sql.query("insert into sessions (hash, key_id, created_at, expires_at) values ($1, $2, $3, $4)", [
        sha256Of(secret),
        principal.key,
        now,
        expiresAt,
      ]);
      await record(sql, now, principal, "session.created", { key: principal.key });
      return { secret, expiresAt };
    });
  }

  async find(secret: string): Promise<FoundSession> {
    const [row] = await this.context.db.query(
      `select ${KEY_COLUMNS}, ends from api_keys join
         (select key_id, expires_at as ends from sessions where hash = $1 and expires_at > $2) session on key_id = id`,
      [sha256Of(secret), this.context.now()],
      z.looseObject({ ends: z.number() }),
    );
    if (row === undefined) return { refused: "invalid" };
    return { ...(await this.keys.admit(keyRow.parse(row))), expiresAt: row.ends };
  }

  /** Whether there was one. */
  end(principal: Principal, secret: string): Promise<boolean> {
    return this.context.db.transaction(async (sql) => {
      const gone = await sql.query("delete from sessions where hash = $1 and key_id = $2 returning hash", [
        sha256Of(secret),
        principal.key,
      ]);
      if (gone.length > 0) {
        await record(sql, this.context.now(), principal, "session.ended", { key: principal.key });
      }
      return gone.length > 0;
    });
  }
}
