import type { Model } from "../models/index.ts";
import { type Bucket, Buckets } from "./buckets.ts";
import { bytesPerToken } from "./cache.ts";
import { type Found, foundOf, int32, type Using, wantedBy } from "./computed.ts";
import { Queue, type QueueLimits } from "./queue.ts";
import { type Next, Reader } from "./reader.ts";
import { type Prompt, type Request, Row, type Submission } from "./row.ts";
import type { AdapterPool } from "./slots.ts";

/** Rows that are written at once where nobody says how many. */
export const ROWS = 32;

export interface EngineLimits extends QueueLimits {
  /** Rows that are written at once. Default 32. */
  readonly rows?: number;
  /** Bytes that keys and values may take; a row counts with all that it may become. One row is always let in. Default: a quarter of free memory. */
  readonly cacheBytes?: number;
  /** Prompt tokens that are read between two steps of the rows that are being written. Default 512. */
  readonly part?: number;
  /** Of these, tokens of one prompt that is longer, where rows are being written. Default: all, which is fastest where nobody reads along. */
  readonly share?: number;
}

/** How busy an engine is. */
export interface EngineLoad {
  readonly rows: number;
  readonly waiting: number;
  /** Bytes that the rows may take. */
  readonly cacheBytes: number;
  /** Slots with an adapter that a row has. */
  readonly pinned: number;
}

/**
 * Writes many answers at once: rows come and leave between two steps. A turn lets waiting rows in, reads at most `part` tokens of prompts,
 * but a long one in shares where others wait for their next token, and writes one token of every row; it ends when no row is left and
 * begins again with the next one. Every row is by itself:
 * its adapter, its sampling, its end, its numbers that are none. What goes wrong in a program ends the rows of that call alone.
 *
 * @example
 * const engine = await generator.open();
 * for await (const event of engine.submit([1, 5, 9], { maxNewTokens: 32 })) if ("token" in event) console.log(event.token);
 */
export class Engine {
  private readonly limits: { readonly rows: number; readonly cacheBytes: number; readonly share: number };
  private readonly waiting: Queue;
  private readonly reader: Reader;
  private readonly buckets: Buckets;
  private isTurning = false;

  /** @param pool where rows name adapters */
  constructor(
    private readonly model: Model,
    private readonly using: () => Using,
    { rows = ROWS, cacheBytes = process.availableMemory() / 4, part = 512, share = part, ...queue }: EngineLimits = {},
    private readonly pool?: AdapterPool,
  ) {
    this.limits = { rows, cacheBytes, share };
    this.waiting = new Queue(queue);
    this.reader = new Reader(model, using, part);
    this.buckets = new Buckets(model);
    if (pool !== undefined) pool.onChange = () => this.wake();
  }

  /**
   * Queues a prompt, which `checkPrompt` has let pass. The caller reads the events, or cancels.
   *
   * @throws {BoosterError} `ENGINE_OVERLOADED`
   */
  submit(prompt: Prompt, request: Request): Submission {
    const row = new Row(prompt, request, this.model);
    this.waiting.push(row);
    this.wake();
    return row.submission;
  }

  /** Ends all rows. */
  close(): void {
    for (const row of [...this.waiting.all(), ...this.inside()]) row.submission.cancel();
  }

  get load(): EngineLoad {
    const inside = this.inside();
    return {
      rows: inside.length,
      waiting: this.waiting.length,
      cacheBytes: inside.reduce((sum, row) => sum + this.bytesOf(row), 0),
      pinned: new Set(inside.flatMap(({ slot }) => (slot === 0 ? [] : [slot]))).size,
    };
  }

  /**
   * Computes a beginning of prompts once. Rows that begin like this and go on then read it, one copy for all of them.
   *
   * @throws what running a program throws
   */
  share(ids: Prompt): Promise<void> {
    return this.reader.share(ids);
  }

  /** Rows that were let in. */
  private inside = (): Row[] => [...this.reader.rows, ...this.buckets.rows()];

  private bytesOf = ({ most }: Row): number => most * bytesPerToken(this.model);

  private wake(): void {
    if (!this.isTurning) void this.turns();
  }

  private async turns(): Promise<void> {
    this.isTurning = true;
    // Rows that come together are read together.
    await undefined;
    try {
      while (this.letIn()) {
        const share = this.buckets.rows().length === 0 ? this.reader.part : this.limits.share;
        for (let room = this.reader.part; room > 0; ) {
          const next = this.reader.next(share, room);
          if (next.rows.length === 0) break;
          room -= next.tokens;
          await this.attempt(next.rows, () => this.readParts(next));
        }
        for (const bucket of this.buckets.all()) {
          if (bucket.rows.length > 0) await this.attempt([...bucket.rows], () => this.step(bucket));
        }
      }
    } catch (error) {
      fail([...this.waiting.all(), ...this.inside()], error);
    }
    this.isTurning = false;
  }

  /** Whether anything is left to do, once those who left are gone and those who fit are in. */
  private letIn(): boolean {
    const isWanted = ({ submission }: Row) => !submission.isCancelled;
    this.waiting.tidy();
    this.reader.rows = this.reader.rows.filter(isWanted);
    this.buckets.keep(isWanted);
    this.admit();
    return this.inside().length > 0;
  }

  /** What fails ends these rows. */
  private async attempt(rows: readonly Row[], work: () => Promise<void>): Promise<void> {
    try {
      if (rows.length > 0) await work();
    } catch (error) {
      fail(rows, error);
    }
  }

  /** Lets rows in as long as there is room for all that they may become. Those whose adapter is not there yet wait, and nobody for them. */
  private admit(): void {
    const inside = this.inside();
    let { length } = inside;
    let bytes = inside.reduce((sum, row) => sum + this.bytesOf(row), 0);
    const held = new Set(inside.map(({ slot }) => slot));
    this.pool?.begin();
    this.waiting.admit(inside, (row) => {
      const size = this.bytesOf(row);
      if (length >= this.limits.rows || (length > 0 && bytes + size > this.limits.cacheBytes)) return "no";
      try {
        const { adapter } = row.request;
        const slot = adapter === undefined ? 0 : this.pool?.slotOf(adapter, (at) => held.has(at));
        if (slot === undefined) return "later";
        row.slot = slot;
      } catch (error) {
        fail([row], error);
        return "yes";
      }
      held.add(row.slot);
      length++;
      bytes += size;
      this.reader.rows.push(row);
      return "yes";
    });
  }

  private async readParts(next: Next): Promise<void> {
    for (const { row, found, shared, remembered } of await this.reader.turn(next)) {
      if (this.goesOn(row, found)) this.buckets.add(row, shared, remembered);
    }
  }

  /** One token of every row of a bucket. */
  private async step(bucket: Bucket): Promise<void> {
    const { rows, cache, shared } = bucket;
    const positions = rows.map(({ ids }) => ids.length - 1);
    const { programs, args } = this.using();
    const decode = await programs.decode(wantedBy(rows), shared !== undefined);
    bucket.seen ??= programs.seen(cache, shared);
    const own = positions.map((position) => position - (shared?.tokens ?? 0));
    const { next, finite, fresh } = await decode.run({
      ...args,
      ids: int32(rows.map(({ ids }) => ids.at(-1) as number)),
      positions: int32(positions),
      own: int32(own),
      ...(await bucket.seen.seen()),
      slot: int32(rows.map(({ slot }) => slot)),
    });
    bucket.seen.append(own, fresh);
    cache.append(fresh.data as Float32Array);
    const found = foundOf(next, finite);
    // Backwards: the row that takes another one's place has had its turn.
    for (let r = rows.length - 1; r >= 0; r--) {
      const row = rows[r] as Row;
      if (!this.goesOn(row, found(r))) this.buckets.leave(bucket, r);
    }
  }

  /** Whether a row goes on as it is; one that has grown so long that all of it is turned otherwise is read anew. */
  private goesOn(row: Row, { next, finite }: Found): boolean {
    const wasLong = this.reader.isLong(row.ids.length);
    if (!row.advance(next, finite)) return false;
    if (wasLong || !this.reader.isLong(row.ids.length)) return true;
    this.reader.rows.unshift(row);
    return false;
  }
}

function fail(rows: readonly Row[], error: unknown): void {
  for (const { submission } of rows) {
    submission.end(error);
    submission.cancel();
  }
}
