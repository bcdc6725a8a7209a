import { randomUUID } from "node:crypto";
import { z } from "zod";
import type { Context } from "./context.ts";
import { Silence } from "./silence.ts";

const row = z.object({ name: z.string(), beat: z.number() });
const PREFIX = "server/";

/** How many servers share a database. Each raises a counter; one whose counter stands still, by the looker's own clock, is not there any more. */
export class Presence {
  readonly #me = PREFIX + randomUUID();
  readonly #silence: Silence;

  constructor(
    private readonly context: Context,
    ...by: ConstructorParameters<typeof Silence>
  ) {
    this.#silence = new Silence(...by);
  }

  /** Says that this server is there; called every few seconds. How many there are, this one among them. */
  async look(): Promise<number> {
    const { db } = this.context;
    await db.query("insert into turns as t (name) values ($1) on conflict (name) do update set beat = t.beat + 1", [
      this.#me,
    ]);
    const there = await db.query(`select name, beat from turns where name like '${PREFIX}%'`, [], row);
    const silent = this.#silence.look(new Map(there.map(({ name, beat }) => [name, `${beat}`])));
    const gone = there.filter(({ name }) => name !== this.#me && silent.has(name));
    for (const { name, beat } of gone) {
      await db.query("delete from turns where name = $1 and beat = $2", [name, beat]);
    }
    return there.length - gone.length;
  }

  /** This server is about to leave. */
  async end(): Promise<void> {
    await this.context.db.query("delete from turns where name = $1", [this.#me]);
  }
}
