import type { Model } from "../models/index.ts";
import type { HostTensor } from "../tensor/tensor.ts";
import { tensor } from "../tensor/tensor.ts";
import { Beginning, type Remembered, rememberedOf } from "./cache.ts";
import { type Found, foundOf, int32, type Using, wantedBy } from "./computed.ts";
import type { Wanted } from "./programs.ts";
import { packParts } from "./prompts.ts";
import type { Prompt, Row } from "./row.ts";

/** Nobody comes to this place, so nobody sees it. */
const NEVER = 2 ** 30;

/** Tokens of a prompt whose logits are computed at once where all of them are asked for. */
const CHUNK = 64;

const NOTHING = { rows: [], tokens: 0 };

/** Rows that are read in one call, and how many tokens of them. */
export interface Next {
  readonly rows: readonly Row[];
  readonly tokens: number;
}

/** A row that has been read to its end: what it remembers, behind what it shares with others, and what comes next. */
export interface ReadRow {
  readonly row: Row;
  readonly shared: Beginning | undefined;
  readonly remembered: Remembered;
  readonly found: Found;
}

/** Reads prompts, at most `part` tokens of them in one call. */
export class Reader {
  /** Rows that are let in and not read to their end, in the order in which they came. */
  rows: Row[] = [];
  private readonly none: Beginning;
  /** Whether who has least left to read may pass who has waited longest. */
  private passes = false;
  private shared: { readonly ids: Prompt; readonly read: Beginning } | undefined;

  constructor(
    private readonly model: Model,
    private readonly using: () => Using,
    readonly part: number,
  ) {
    this.none = new Beginning(model, 1);
  }

  isLong(length: number): boolean {
    const { longBeyond } = this.model;
    return longBeyond !== undefined && length > longBeyond;
  }

  /** Computes a beginning once for all rows of the base that begin like this and go on. */
  async share(ids: Prompt): Promise<void> {
    const read = new Beginning(this.model, ids.length);
    while (read.tokens < ids.length) {
      const end = Math.min(read.tokens + this.part, ids.length);
      const part = Array.from(ids).slice(read.tokens, end);
      const { cache } = await this.read([{ ids: part, length: ids.length }], read, "tokens", 0);
      read.add(rememberedOf(cache, 0, part.length));
    }
    this.shared = { ids, read };
  }

  /**
   * Rows that are read next: a part of one that is longer than `share`, one a turn, or as many whole ones of one adapter as fit into `room`. Who
   * has waited longest comes first; where that is one that is read in parts, every other time who has least left. So nobody waits for the end of a
   * long prompt, and whoever comes, the longest waiter gets every other turn.
   *
   * @param share tokens of one prompt that are read in a turn
   * @param room what is left of the turn's tokens
   */
  next(share: number, room = this.part): Next {
    const isLong = (row: Row) => row.part !== undefined || this.leftOf(row) > share;
    const whole = this.rows.filter((row) => !isLong(row));
    const begins = room === this.part;
    const [oldest, ...others] = begins ? this.rows : whole;
    if (oldest === undefined) return NOTHING;
    const least = (a: Row, b: Row) => (this.leftOf(b) < this.leftOf(a) ? b : a);
    const first = begins && this.passes ? others.reduce(least, oldest) : oldest;
    if (begins) this.passes = isLong(first) && !this.passes;
    if (!isLong(first)) return this.alike(first, whole, room);
    first.part ??= this.begun(first);
    return { rows: [first], tokens: Math.min(share, this.leftOf(first)) };
  }

  /** One of some rows, and as many as fit of those that can be read together with it. */
  private alike(first: Row, rows: readonly Row[], room: number): Next {
    const basis = this.basisOf(first);
    const chosen: Row[] = [];
    let tokens = 0;
    for (const row of new Set([first, ...rows])) {
      const own = this.leftOf(row);
      const isAlike = row.slot === first.slot && row.echoes > 0 === first.echoes > 0 && this.basisOf(row) === basis;
      if (isAlike && tokens + own <= room) {
        tokens += own;
        chosen.push(row);
      } else if (row === first) return NOTHING;
    }
    return { rows: chosen, tokens };
  }

  /** Reads what `next` has said. @returns those that are read to their end */
  async turn({ rows, tokens }: Next): Promise<ReadRow[]> {
    const first = rows[0] as Row;
    const basis = first.part ?? this.basisOf(first);
    const end = first.part && basis.tokens + tokens;
    const asksAll = first.echoes > 0;
    const parts = rows.map(({ ids }) => ({ ids: ids.slice(basis.tokens, end), length: ids.length }));
    const { cache, next, finite } = await this.read(parts, basis, asksAll ? "hidden" : wantedBy(rows), first.slot);
    const founds = asksAll
      ? await this.tell(rows, parts, basis.tokens, next, finite)
      : rows.map((_, r) => foundOf(next, finite)(r));
    first.part?.add(rememberedOf(cache, 0, parts[0]?.ids.length as number));
    const isWhole = first.part === undefined || first.part.tokens >= first.ids.length;
    this.rows = this.rows.filter((row) => !rows.includes(row) || (!isWhole && founds[0]?.finite === 0));
    return rows.flatMap((row, r) => {
      const found = founds[r] as Found;
      const shared = row.part === undefined && basis.tokens > 0 ? basis : undefined;
      const remembered = row.part?.remembered() ?? rememberedOf(cache, r, parts[r]?.ids.length as number);
      if (!isWhole && found.finite === 0) return [];
      row.part = undefined;
      return [{ row, shared, remembered, found }];
    });
  }

  /** Tells rows the log-probabilities of their prompts, a few tokens at a time. */
  private async tell(
    rows: readonly Row[],
    parts: readonly { readonly ids: readonly number[] }[],
    start: number,
    hidden: HostTensor,
    finite: HostTensor,
  ): Promise<Found[]> {
    const { programs, args } = this.using();
    const head = await programs.head();
    const width = this.model.hiddenSize;
    const states = hidden.data as Float32Array;
    const founds: Found[] = [];
    let from = 0;
    for (const [r, row] of rows.entries()) {
      const count = parts[r]?.ids.length as number;
      const found: { next: Found["next"]; readonly finite: number } = {
        next: 0,
        finite: Array.from({ length: count }, (_, i) => Number(finite.data[from + i])).reduce((a, b) => a + b),
      };
      for (let at = 0; at < count && found.finite === 0; at += CHUNK) {
        const size = Math.min(CHUNK, count - at);
        const some = states.subarray((from + at) * width, (from + at + size) * width);
        const { logits } = await head.run({ ...args, hidden: tensor("float32", [size, width], some) });
        const all = foundOf(logits, finite);
        for (let i = 0; i < size; i++) {
          const { next } = all(i);
          if (start + at + i + 1 < row.ids.length) row.tell(next as Float32Array);
          else found.next = next;
        }
      }
      founds.push(found);
      from += count;
    }
    return founds;
  }

  /** Parts of rows behind what all of them rest on. */
  private async read(
    parts: readonly { readonly ids: readonly number[]; readonly length: number }[],
    basis: Beginning,
    wanted: Wanted,
    slot: number,
  ) {
    const start = basis.tokens;
    const time = Math.max(...parts.map(({ ids }) => ids.length));
    const before = Array.from({ length: basis.places }, (_, i) => (i < start ? i : NEVER));
    const places = [...before, ...Array.from({ length: time }, (_, i) => start + i)];
    const { programs, args } = this.using();
    const prefill = await programs.prefill(wanted);
    return prefill.run({
      ...args,
      prompts: packParts(parts, wanted === "hidden"),
      start: int32([start]),
      length: int32(parts.flatMap(({ ids, length }) => ids.map(() => length))),
      places: int32(places),
      past: basis.views(),
      slot: int32([slot]),
    });
  }

  /** Tokens of a row that are still to be read. */
  private leftOf = (row: Row): number => row.ids.length - (row.part ?? this.basisOf(row)).tokens;

  private begun(row: Row): Beginning {
    const part = new Beginning(this.model, row.ids.length, 1);
    const basis = this.basisOf(row);
    if (basis.tokens > 0) part.add(basis.remembered());
    return part;
  }

  /** What a row that is read anew rests on. */
  private basisOf({ ids, slot, echoes }: Row): Beginning {
    const { shared, none } = this;
    const canShare = shared !== undefined && slot === 0 && echoes === 0;
    if (!canShare || ids.length <= shared.ids.length || this.isLong(ids.length)) return none;
    return ids.every((id, i) => i >= shared.ids.length || id === shared.ids[i]) ? shared.read : none;
  }
}
