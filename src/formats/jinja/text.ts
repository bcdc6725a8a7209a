import { spend, spendOnLength } from "./limits.ts";

/** Source of what stands between `{% generation %}` and `{% endgeneration %}`. */
export const GENERATED = -1;

/** A stretch of a text and where it came from: characters `from` to `to` of a string of the data. */
export interface Run {
  readonly start: number;
  readonly end: number;
  /** Number of the string among those of the data, or `GENERATED`. */
  readonly source: number;
  readonly from: number;
  readonly to: number;
}

/** Part of a run between two places; where its characters are not those of its source, it stays one with all of it. */
function cutRun(run: Run, start: number, end: number): Run {
  const [first, last] = [Math.max(run.start, start), Math.min(run.end, end)];
  const same = run.end - run.start === run.to - run.from;
  const [from, to] = same ? [run.from + first - run.start, run.from + last - run.start] : [run.from, run.to];
  return { start: first - start, end: last - start, source: run.source, from, to };
}

const ASTRAL = /[\ud800-\udfff]/;

/** A Python string that knows which of its characters came from the data: all others were written by the template. */
export class Text {
  readonly text: string;
  readonly runs: readonly Run[];
  /** Null where places are the characters' numbers. */
  private offsets: Int32Array | null | undefined;

  constructor(text: string, runs: readonly Run[] = []) {
    this.text = text;
    this.runs = runs;
  }

  /** A whole string of the data. */
  static from(text: string, source: number): Text {
    return new Text(text, text === "" ? [] : [{ start: 0, end: text.length, source, from: 0, to: text.length }]);
  }

  static join(parts: readonly (Text | string)[]): Text {
    const runs: Run[] = [];
    let length = 0;
    for (const part of parts) {
      if (typeof part !== "string") {
        for (const run of part.runs) runs.push({ ...run, start: run.start + length, end: run.end + length });
        length += part.text.length;
      } else length += part.length;
    }
    spendOnLength(length);
    spend(runs.length / 8);
    return new Text(parts.map((part) => (typeof part === "string" ? part : part.text)).join(""), runs);
  }

  /** By UTF-16 units, unlike `range`. */
  slice(start: number, end = this.text.length): Text {
    if (start === 0 && end >= this.text.length) return this;
    spend(0.25 + this.runs.length / 8);
    const runs = this.runs.filter((run) => run.start < end && run.end > start);
    return new Text(
      this.text.slice(start, end),
      runs.map((run) => cutRun(run, start, Math.max(start, end))),
    );
  }

  /** Each stretch of one origin rewritten; it stays what it came from. */
  map(rewrite: (text: string) => string): Text {
    const places = [0, this.text.length, ...this.runs.flatMap(({ start, end }) => [start, end])];
    const cuts = [...new Set(places)].sort((a, b) => a - b);
    return Text.join(
      cuts.slice(1).map((end, i) => {
        const piece = this.slice(cuts[i] as number, end);
        const text = rewrite(piece.text);
        return new Text(
          text,
          piece.runs.map((run) => ({ ...run, start: 0, end: text.length })),
        );
      }),
    );
  }

  /** UTF-16 places of the characters and of the end, where these differ from their numbers. */
  private places(): Int32Array | undefined {
    if (this.offsets === undefined) {
      spend(this.text.length / 16);
      const offsets = [0];
      if (ASTRAL.test(this.text)) {
        for (const char of this.text) offsets.push((offsets.at(-1) as number) + char.length);
      }
      this.offsets = offsets.length > 1 ? Int32Array.from(offsets) : null;
    }
    return this.offsets ?? undefined;
  }

  /** Characters, as Python counts them. */
  get length(): number {
    const places = this.places();
    return places === undefined ? this.text.length : places.length - 1;
  }

  /** UTF-16 place of a character. */
  placeOf(character: number): number {
    return this.places()?.[character] ?? character;
  }

  /** Number of the character at a UTF-16 place. */
  characterAt(place: number): number {
    return this.places()?.indexOf(place) ?? place;
  }

  /** By characters, `0 <= start <= end <= length`. */
  range(start: number, end: number): Text {
    return this.slice(this.placeOf(start), this.placeOf(end));
  }

  characters(): Text[] {
    spend(this.text.length);
    return Array.from({ length: this.length }, (_, i) => this.range(i, i + 1));
  }

  toString(): string {
    return this.text;
  }
}

/** What `safe` and `e` make: a string that counts as HTML, so that a string that is added to it is escaped. */
export class Markup extends Text {
  static of({ text, runs }: Text): Markup {
    return new Markup(text, runs);
  }
}
