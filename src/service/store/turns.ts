import { randomUUID } from "node:crypto";
import { z } from "zod";
import type { Context } from "./context.ts";
import { LEASE_SECONDS } from "./reaper.ts";

const turnRow = z.object({ holder: z.string().nullable(), epoch: z.number(), beat: z.number() });
type Seen = Readonly<z.infer<typeof turnRow>>;

/**
 * Work of which only one server at a time may do a part. Whoever has the turn says so at each look; one that has fallen silent loses it to another, which judges
 * by its own clock alone, as the reaper does with jobs. What a server writes for a turn that it has lost changes nothing: its statements name the epoch.
 */
export class Turn {
  readonly #me = randomUUID();
  #seen: (Seen & { readonly since: number }) | undefined;

  constructor(
    private readonly context: Context,
    private readonly name: string,
    /** Seconds, from anywhere, never back. */
    private readonly monotonic: () => number = () => performance.now() / 1000,
    private readonly lease = LEASE_SECONDS,
  ) {}

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
    const now = this.monotonic();
    const same =
      this.#seen !== undefined &&
      this.#seen.epoch === there.epoch &&
      this.#seen.beat === there.beat &&
      there.holder !== null;
    if (!same) this.#seen = { ...there, since: now };
    if (there.holder !== null && now - (this.#seen?.since ?? now) < this.lease) return undefined;
    const [taken] = await db.query(
      `update turns set holder = $2, epoch = epoch + 1, beat = 0 where name = $1 and epoch = $3 and beat = $4
       returning holder, epoch, beat`,
      [this.name, this.#me, there.epoch, there.beat],
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
