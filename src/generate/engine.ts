import type { Model } from "../models/index.ts";
import type { DeviceTensors } from "../runtime/index.ts";
import { type HostTensor, tensor } from "../tensor/tensor.ts";
import { Beginning, bytesPerToken, KvCache, rememberedOf } from "./cache.ts";
import type { Programs, Wanted } from "./programs.ts";
import { packPrompts } from "./prompts.ts";
import { type Prompt, type Request, Row, type Submission } from "./row.ts";

/** Rows that are written at once where nobody says how many. */
export const ROWS = 32;

export interface EngineLimits {
  /** Rows that are written at once. Default 32. */
  readonly rows?: number;
  /** Bytes that keys and values may take; a row counts with all that it may become. One row is always let in. Default: a quarter of free memory. */
  readonly cacheBytes?: number;
  /** Prompt tokens that are read between two steps of the rows that are being written. Default 512. */
  readonly part?: number;
}

/** Weights, and LoRA factors where programs take them, on the device. */
export interface Arguments {
  readonly base: DeviceTensors;
  readonly tensors: DeviceTensors;
}

/** Rows of one step of decoding: rows of like length, since each reads as many places as the longest, with one beginning or none in common. */
interface Bucket {
  readonly kind: number;
  readonly shared: Beginning | undefined;
  readonly cache: KvCache;
  readonly rows: Row[];
}

/** Rows that may become at most this long are one bucket, those of up to four times as many tokens the next. */
const SHORT = 512;
const LENGTHS = 4;

/** Nobody comes to this place, so nobody sees it. */
const NEVER = 2 ** 30;

/**
 * Writes many answers at once: rows come and leave between two steps. A turn lets waiting rows in, reads at most `part` tokens of prompts,
 * and writes one token of every row; it ends when no row is left and begins again with the next one. Every row is by itself:
 * its sampling, its end, its numbers that are none. What goes wrong in a program ends the rows of that call alone.
 *
 * @example
 * const engine = await generator.open();
 * for await (const event of engine.submit([1, 5, 9], { maxNewTokens: 32 })) if ("token" in event) console.log(event.token);
 */
export class Engine {
  private readonly limits: Required<EngineLimits>;
  private readonly none: Beginning;
  private shared: { readonly ids: Prompt; readonly read: Beginning } | undefined;
  private waiting: Row[] = [];
  private reading: Row[] = [];
  private buckets: Bucket[] = [];
  private isTurning = false;

  constructor(
    private readonly model: Model,
    private readonly programs: Programs,
    private readonly args: Arguments,
    limits: EngineLimits = {},
  ) {
    this.limits = { rows: ROWS, cacheBytes: process.availableMemory() / 4, part: 512, ...limits };
    this.none = new Beginning(model, 1);
  }

  /** Queues a prompt, which `checkPrompt` has let pass. The caller reads the events, or cancels. */
  submit(prompt: Prompt, request: Request): Submission {
    const row = new Row(prompt, request, this.model);
    this.waiting.push(row);
    if (!this.isTurning) void this.turns();
    return row.submission;
  }

  /** Ends all rows. */
  close(): void {
    for (const row of [...this.waiting, ...this.inside()]) row.submission.cancel();
  }

  /**
   * Computes a beginning of prompts once. Rows that begin like this and go on then read it, one copy for all of them.
   *
   * @throws what running a program throws
   */
  async share(ids: Prompt): Promise<void> {
    const read = new Beginning(this.model, ids.length);
    while (read.tokens < ids.length) {
      const end = Math.min(read.tokens + this.limits.part, ids.length);
      const part = Array.from(ids).slice(read.tokens, end);
      const { cache } = await this.read([{ ids: part, length: ids.length }], read, "tokens");
      read.add(rememberedOf(cache, 0, part.length));
    }
    this.shared = { ids, read };
  }

  /** Rows that were let in. */
  private inside = (): Row[] => [...this.reading, ...this.buckets.flatMap(({ rows }) => rows)];

  private async turns(): Promise<void> {
    this.isTurning = true;
    // Rows that come together are read together.
    await undefined;
    try {
      while (this.letIn()) {
        const next = this.nextParts();
        await this.attempt(next, () => this.readParts(next));
        for (const bucket of this.buckets) {
          if (bucket.rows.length > 0) await this.attempt([...bucket.rows], () => this.step(bucket));
        }
      }
    } catch (error) {
      fail([...this.waiting, ...this.inside()], error);
    }
    this.isTurning = false;
  }

  /** Whether anything is left to do, once those who left are gone and those who fit are in. */
  private letIn(): boolean {
    this.dropCancelled();
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

  private dropCancelled(): void {
    const isWanted = ({ submission }: Row) => !submission.isCancelled;
    this.waiting = this.waiting.filter(isWanted);
    this.reading = this.reading.filter(isWanted);
    for (const bucket of this.buckets) {
      for (let r = bucket.rows.length - 1; r >= 0; r--) if (!isWanted(bucket.rows[r] as Row)) leave(bucket, r);
    }
    this.buckets = this.buckets.filter(({ rows }) => rows.length > 0);
  }

  /** Lets rows in as long as there is room for all that they may become, in the order in which they came. */
  private admit(): void {
    const bytesOf = ({ most }: Row) => most * bytesPerToken(this.model);
    const inside = this.inside();
    let bytes = inside.reduce((sum, row) => sum + bytesOf(row), 0);
    let entering = 0;
    for (const row of this.waiting) {
      bytes += bytesOf(row);
      const rows = inside.length + entering;
      if (rows >= this.limits.rows || (rows > 0 && bytes > this.limits.cacheBytes)) break;
      entering++;
    }
    this.reading.push(...this.waiting.splice(0, entering));
  }

  /** What a row that is read anew rests on. */
  private basisOf({ ids }: Row): Beginning {
    const { shared, none } = this;
    if (shared === undefined || ids.length <= shared.ids.length || this.isLong(ids.length)) return none;
    return ids.every((id, i) => i >= shared.ids.length || id === shared.ids[i]) ? shared.read : none;
  }

  /** Rows that are read next: a part of one, or as many whole ones as fit. Who has waited longest comes first. */
  private nextParts(): Row[] {
    const { part } = this.limits;
    const [first, ...others] = this.reading;
    if (first === undefined) return [];
    const basis = this.basisOf(first);
    let room = part - (first.ids.length - basis.tokens);
    if (first.part === undefined && room < 0) {
      first.part = new Beginning(this.model, first.ids.length);
      if (basis.tokens > 0) first.part.add(basis.remembered());
    }
    if (first.part !== undefined) return [first];
    const chosen = [first];
    for (const row of others) {
      const tokens = row.ids.length - basis.tokens;
      if (row.part !== undefined || tokens > room || this.basisOf(row) !== basis) continue;
      room -= tokens;
      chosen.push(row);
    }
    return chosen;
  }

  private async readParts(rows: readonly Row[]): Promise<void> {
    const first = rows[0] as Row;
    const basis = first.part ?? this.basisOf(first);
    const end = first.part && Math.min(basis.tokens + this.limits.part, first.ids.length);
    const parts = rows.map(({ ids }) => ({ ids: ids.slice(basis.tokens, end), length: ids.length }));
    const wanted = wantedBy(rows);
    const { cache, next, finite } = await this.read(parts, basis, wanted);
    first.part?.add(rememberedOf(cache, 0, parts[0]?.ids.length as number));
    if (first.part !== undefined && first.part.tokens < first.ids.length) return;
    this.reading = this.reading.filter((row) => !rows.includes(row));
    for (const [r, row] of rows.entries()) {
      const remembered = row.part?.remembered() ?? rememberedOf(cache, r, parts[r]?.ids.length as number);
      const bucket = this.bucketOf(row, row.part === undefined && basis.tokens > 0 ? basis : undefined);
      row.part = undefined;
      if (!this.goesOn(row, next, finite, r)) continue;
      bucket.rows.push(row);
      bucket.cache.add(remembered);
    }
  }

  /** Parts of rows behind what all of them rest on. */
  private async read(
    parts: readonly { readonly ids: readonly number[]; readonly length: number }[],
    basis: Beginning,
    wanted: Wanted,
  ) {
    const start = basis.tokens;
    const time = Math.max(...parts.map(({ ids }) => ids.length));
    const before = Array.from({ length: basis.places }, (_, i) => (i < start ? i : NEVER));
    const places = [...before, ...Array.from({ length: time }, (_, i) => start + i)];
    const prefill = await this.programs.prefill(wanted);
    return prefill.run({
      ...this.args,
      prompts: packPrompts(parts.map(({ ids }) => ids)),
      start: int32([start]),
      length: int32(parts.flatMap(({ ids, length }) => ids.map(() => length))),
      places: int32(places),
      past: basis.views(),
    });
  }

  private bucketOf({ most }: Row, shared: Beginning | undefined): Bucket {
    const kind = Math.max(0, Math.ceil(Math.log(most / SHORT) / Math.log(LENGTHS)));
    const known = this.buckets.find((bucket) => bucket.kind === kind && bucket.shared === shared);
    if (known !== undefined) return known;
    const bucket = { kind, shared, cache: new KvCache(this.model), rows: [] };
    this.buckets.push(bucket);
    return bucket;
  }

  /** One token of every row of a bucket. */
  private async step(bucket: Bucket): Promise<void> {
    const { rows, cache, shared } = bucket;
    const wanted = wantedBy(rows);
    const positions = rows.map(({ ids }) => ids.length - 1);
    const decode = await this.programs.decode(wanted, shared !== undefined);
    const { next, finite, fresh } = await decode.run({
      ...this.args,
      ids: int32(rows.map(({ ids }) => ids.at(-1) as number)),
      positions: int32(positions),
      own: int32(positions.map((position) => position - (shared?.tokens ?? 0))),
      cache: cache.views(),
      shared: shared?.views() ?? [],
    });
    cache.append(fresh.data as Float32Array);
    // Backwards: the row that takes another one's place has had its turn.
    for (let r = rows.length - 1; r >= 0; r--) {
      if (!this.goesOn(rows[r] as Row, next, finite, r)) leave(bucket, r);
    }
  }

  /** Whether a row goes on as it is; one that has grown so long that all of it is turned otherwise is read anew. */
  private goesOn(row: Row, next: HostTensor, finite: HostTensor, r: number): boolean {
    const wasLong = this.isLong(row.ids.length);
    const width = next.shape[1];
    const found =
      width === undefined
        ? Number(next.data[r])
        : (next as HostTensor<"float32">).data.subarray(r * width, (r + 1) * width);
    if (!row.advance(found, Number(finite.data[r]))) return false;
    if (wasLong || !this.isLong(row.ids.length)) return true;
    this.reading.unshift(row);
    return false;
  }

  private isLong(length: number): boolean {
    const { longBeyond } = this.model;
    return longBeyond !== undefined && length > longBeyond;
  }
}

function fail(rows: readonly Row[], error: unknown): void {
  for (const { submission } of rows) {
    submission.end(error);
    submission.cancel();
  }
}

function leave({ rows, cache }: Bucket, r: number): void {
  cache.remove(r);
  rows[r] = rows.at(-1) as Row;
  rows.pop();
}

const int32 = (values: readonly number[]) => tensor("int32", [values.length], values);

const wantedBy = (rows: readonly Row[]): Wanted => (rows.some((row) => row.needsLogits) ? "logits" : "tokens");
