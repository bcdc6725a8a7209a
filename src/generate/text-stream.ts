import { fallbackByte } from "../formats/tokenize/decode.ts";
import type { Tokenizer } from "../formats/tokenizer.ts";

/** What stands for bytes that are no character, or not yet one. */
const UNKNOWN = "\uFFFD";

/**
 * Text of an answer, token by token: joined, the pieces are the text of all ids, up to the first of the `stops`. Only the last few ids are
 * decoded for each. A character of several tokens is told when it is complete, and text that may be the beginning of a stop when it turns out to be none.
 *
 * @example
 * const text = new TextStream(tokenizer, ["\nUser:"]);
 * for (const id of ids) process.stdout.write(text.push(id)); // until text.isOver
 * process.stdout.write(text.end());
 */
export class TextStream {
  /** Whether one of the stops has been written. */
  isOver = false;
  /** Characters of all complete text so far, what is held back among them. */
  seen = 0;
  /** Ids whose text has been told, as context of the next ones, and those whose text has not. */
  private ids: number[] = [];
  private told = 0;
  private held = "";

  constructor(
    private readonly tokenizer: Pick<Tokenizer, "decode" | "isSpecial" | "tokenOf">,
    private readonly stops: readonly string[] = [],
  ) {}

  /** The text that is certain now. */
  push(id: number): string {
    this.ids.push(id);
    // What single bytes make is only known when no further one follows; special tokens are left out between them.
    if (this.tokenizer.isSpecial(id) || fallbackByte(this.tokenizer.tokenOf(id) ?? "") !== undefined) return "";
    const fresh = this.fresh();
    if (fresh === "" || fresh.endsWith(UNKNOWN)) return "";
    this.ids = this.ids.slice(this.told);
    this.told = this.ids.length;
    return this.until(fresh);
  }

  /** What is left at the end. */
  end(): string {
    const text = this.until(this.fresh()) + this.held;
    [this.ids, this.told, this.held] = [[], 0, ""];
    return text;
  }

  private fresh(): string {
    const textOf = (count: number) => this.tokenizer.decode(this.ids.slice(0, count), { skipSpecial: true });
    return textOf(this.ids.length).slice(textOf(this.told).length);
  }

  /** Up to the first stop; the longest end that may begin one is held back. */
  private until(fresh: string): string {
    this.seen += fresh.length;
    if (this.isOver) return "";
    const text = this.held + fresh;
    const found = this.stops.map((stop) => text.indexOf(stop)).filter((at) => at >= 0);
    this.isOver = found.length > 0;
    const longest = Math.max(0, ...this.stops.map(({ length }) => length - 1));
    let end = this.isOver ? Math.min(...found) : Math.max(0, text.length - longest);
    this.held = "";
    if (this.isOver) return text.slice(0, end);
    while (end < text.length && !this.stops.some((stop) => stop.startsWith(text.slice(end)))) end++;
    this.held = text.slice(end);
    return text.slice(0, end);
  }
}
