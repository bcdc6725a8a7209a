import { randomUUID } from "node:crypto";
import { z } from "zod";
import type { Context } from "./context.ts";
import { Silence } from "./silence.ts";

const turnRow = z.object({ holder: z.string().nullable(), epoch: z.number(), beat: z.number() });

/**
 * Work of which only one server at a time may do a part. Whoever has the turn says so at each look; one that has fallen silent loses it to another, which judges
 * by its own clock alone, as the reaper does with jobs. What a server writes for a turn that it has lost changes nothing: its statements name the epoch.
 */
export class Turn {
  readonly #me = randomUUID();
  readonly #silence: Silence;

  constructor(
    private readonly context: Context,
    private readonly name: string,
    ...by: ConstructorParameters<typeof Silence>
  ) {
    this.#silence = new Silence(...by);
  }

  /** Looks once; called every few seconds. The epoch of this server's turn, where it has it. */
  async look(): Promise<number | undefined> {
    const { db } = this.context;
    const [mine] = await db.query(
      "update turns set beat = beat + 1 where name = $1 and holder = $2 returning holder, epoch, beat",
      [this.name, this.#me],
      turnRow,
    );
    if (mine !== undefined) return mine.epoch;
    await db.query("insert into turns (name) values ($1) on conflict (name) do nothing", [this.name]);
    const [there] = await db.query("select holder, epoch, beat from turns where name = $1", [this.name], turnRow);
    if (there === undefined) throw new Error(`the turn ${this.name} vanished`);
    const { holder, epoch, beat } = there;
    const silent = this.#silence.look(new Map(holder === null ? [] : [[holder, `${epoch} ${beat}`]]));
    if (holder !== null && !silent.has(holder)) return undefined;
    const [taken] = await db.query(
      `update turns set holder = $2, epoch = epoch + 1, beat = 0 where name = $1 and epoch = $3 and beat = $4
       returning holder, epoch, beat`,
      [this.name, this.#me, epoch, beat],
      turnRow,
    );
    return taken?.epoch;
  }

  /** Lets another server go on at once. */
  async end(): Promise<void> {
    await this.context.db.query("update turns set holder = null where name = $1 and holder = $2", [
      this.name,
      this.#me,
    ]);
  }
}
