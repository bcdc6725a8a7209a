import type { Model } from "../models/index.ts";
import { type Beginning, KvCache, type Remembered } from "./cache.ts";
import type { SeenCache } from "./device-cache.ts";
import type { Row } from "./row.ts";

/** Rows of one step of decoding: rows of like length, since each reads as many places as the longest, with one beginning or none in common. */
export interface Bucket {
  readonly kind: number;
  readonly shared: Beginning | undefined;
  readonly cache: KvCache;
  /** The cache and what is shared, as programs read them; made by the first step. */
  seen?: SeenCache;
  readonly rows: Row[];
}

/** Rows that may become at most this long are one bucket, those of up to four times as many tokens the next. */
const SHORT = 512;
const LENGTHS = 4;

/** Rows that are being written, each with what it remembers. */
export class Buckets {
  private buckets: Bucket[] = [];

  constructor(private readonly model: Model) {}

  all = (): readonly Bucket[] => this.buckets;

  rows = (): Row[] => this.buckets.flatMap(({ rows }) => rows);

  add(row: Row, shared: Beginning | undefined, remembered: Remembered): void {
    const { rows, cache } = this.bucketOf(row, shared);
    rows.push(row);
    cache.add(remembered);
  }

  /** The last row takes the place of one that leaves. */
  leave({ rows, cache }: Bucket, r: number): void {
    cache.remove(r);
    rows[r] = rows.at(-1) as Row;
    rows.pop();
  }

  keep(isWanted: (row: Row) => boolean): void {
    for (const bucket of this.buckets) {
      for (let r = bucket.rows.length - 1; r >= 0; r--) if (!isWanted(bucket.rows[r] as Row)) this.leave(bucket, r);
    }
    for (const { rows, seen } of this.buckets) if (rows.length === 0) seen?.release();
    this.buckets = this.buckets.filter(({ rows }) => rows.length > 0);
  }

  private bucketOf({ most }: Row, shared: Beginning | undefined): Bucket {
    const kind = Math.max(0, Math.ceil(Math.log(most / SHORT) / Math.log(LENGTHS)));
    const known = this.buckets.find((bucket) => bucket.kind === kind && bucket.shared === shared);
    if (known !== undefined) return known;
    const bucket: Bucket = { kind, shared, cache: new KvCache(this.model), rows: [] };
    this.buckets.push(bucket);
    return bucket;
  }
}
